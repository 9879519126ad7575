-- The owners with waiting runs, and the first run of each.
CREATE INDEX "Run_waiting_idx" ON "Run"("tenant", "owner", "dueAt", "seq") WHERE "status" = 'PENDING';
