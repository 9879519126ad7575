-- Tenant and owner of each row. Existing rows belong to the tenant "default" and have no owner.
ALTER TABLE "Assistant" ADD COLUMN "tenant" TEXT NOT NULL DEFAULT 'default', ADD COLUMN "owner" TEXT NOT NULL DEFAULT '';
ALTER TABLE "Thread" ADD COLUMN "tenant" TEXT NOT NULL DEFAULT 'default', ADD COLUMN "owner" TEXT NOT NULL DEFAULT '';
ALTER TABLE "Run" ADD COLUMN "tenant" TEXT NOT NULL DEFAULT 'default', ADD COLUMN "owner" TEXT NOT NULL DEFAULT '';
ALTER TABLE "Interrupt" ADD COLUMN "tenant" TEXT NOT NULL DEFAULT 'default', ADD COLUMN "owner" TEXT NOT NULL DEFAULT '';

-- Lists are lists of a tenant, so their indexes begin with it.
DROP INDEX "Assistant_createdAt_id_idx";
DROP INDEX "Assistant_updatedAt_id_idx";
DROP INDEX "Assistant_name_id_idx";
DROP INDEX "Assistant_graphId_id_idx";
CREATE INDEX "Assistant_tenant_createdAt_id_idx" ON "Assistant"("tenant", "createdAt", "id");
CREATE INDEX "Assistant_tenant_updatedAt_id_idx" ON "Assistant"("tenant", "updatedAt", "id");
CREATE INDEX "Assistant_tenant_name_id_idx" ON "Assistant"("tenant", "name", "id");
CREATE INDEX "Assistant_tenant_graphId_id_idx" ON "Assistant"("tenant", "graphId", "id");

DROP INDEX "Thread_createdAt_id_idx";
DROP INDEX "Thread_updatedAt_id_idx";
DROP INDEX "Thread_status_id_idx";
DROP INDEX "Thread_graphId_createdAt_id_idx";
CREATE INDEX "Thread_tenant_createdAt_id_idx" ON "Thread"("tenant", "createdAt", "id");
CREATE INDEX "Thread_tenant_updatedAt_id_idx" ON "Thread"("tenant", "updatedAt", "id");
CREATE INDEX "Thread_tenant_status_id_idx" ON "Thread"("tenant", "status", "id");
CREATE INDEX "Thread_tenant_graphId_createdAt_id_idx" ON "Thread"("tenant", "graphId", "createdAt", "id");
CREATE INDEX "Thread_tenant_owner_createdAt_id_idx" ON "Thread"("tenant", "owner", "createdAt", "id");

DROP INDEX "Interrupt_pending_seq_idx";
CREATE INDEX "Interrupt_tenant_pending_seq_idx" ON "Interrupt"("tenant", "pending", "seq");

DROP INDEX "Run_seq_key";
DROP INDEX "Run_assistantId_seq_idx";
DROP INDEX "Run_status_seq_idx";
DROP INDEX "Run_createdAt_idx";
CREATE UNIQUE INDEX "Run_tenant_seq_key" ON "Run"("tenant", "seq");
CREATE INDEX "Run_tenant_owner_seq_idx" ON "Run"("tenant", "owner", "seq");
CREATE INDEX "Run_tenant_assistantId_seq_idx" ON "Run"("tenant", "assistantId", "seq");
CREATE INDEX "Run_tenant_status_seq_idx" ON "Run"("tenant", "status", "seq");
CREATE INDEX "Run_tenant_finishedAt_id_idx" ON "Run"("tenant", "finishedAt", "id");
CREATE INDEX "Run_tenant_createdAt_idx" ON "Run"("tenant", "createdAt");

-- Two viewers may choose the same key.
ALTER TABLE "Run" ADD COLUMN "requester" TEXT NOT NULL DEFAULT '';
DROP INDEX "Run_idempotencyKey_key";
CREATE UNIQUE INDEX "Run_tenant_requester_idempotencyKey_key" ON "Run"("tenant", "requester", "idempotencyKey");
