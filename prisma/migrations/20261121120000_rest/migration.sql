-- What a thread's status is when no run is due or running: where it goes back to when a run leaves no trace.
ALTER TABLE "Thread" ADD COLUMN "restStatus" "ThreadStatus" NOT NULL DEFAULT 'IDLE';
UPDATE "Thread" SET "restStatus" = "status" WHERE "status" <> 'BUSY';

-- What retention looks through.
CREATE INDEX "Run_finishedAt_idx" ON "Run"("finishedAt");
