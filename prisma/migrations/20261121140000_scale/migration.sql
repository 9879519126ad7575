-- What is given back when a run that answered ends before its answers were used.
CREATE INDEX "Interrupt_answeredById_idx" ON "Interrupt"("answeredById");

-- What a claim looks through, also for expired leases: in the order in which runs were accepted, and no run that has ended.
DROP INDEX "Run_pending_idx";
CREATE INDEX "Run_unfinished_idx" ON "Run"("seq") WHERE "status" IN ('PENDING', 'RUNNING');
