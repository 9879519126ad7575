-- What a claim looks through, also for expired leases: no run that has ended, and none that is not due.
DROP INDEX "Run_unfinished_idx";
CREATE INDEX "Run_unfinished_idx" ON "Run"("dueAt", "seq") WHERE "status" IN ('PENDING', 'RUNNING');
