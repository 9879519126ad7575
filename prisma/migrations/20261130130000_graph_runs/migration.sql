-- The runs of a graph, newest first.
CREATE INDEX "Run_tenant_graphId_seq_idx" ON "Run"("tenant", "graphId", "seq");
