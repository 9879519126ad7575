-- The time of the last state edit or ended run. Known for new ones; before, the time of the last change.
ALTER TABLE "Thread" ADD COLUMN "stateUpdatedAt" TIMESTAMPTZ(3) NOT NULL DEFAULT now();
UPDATE "Thread" SET "stateUpdatedAt" = "updatedAt";
CREATE INDEX "Thread_tenant_stateUpdatedAt_id_idx" ON "Thread"("tenant", "stateUpdatedAt", "id");

-- The texts in the metadata of threads, without the ids of the server.
DROP INDEX "Thread_text_idx";
CREATE INDEX "Thread_text_idx" ON "Thread" USING GIN ((CASE WHEN length("metadata"::text) <= 262144
  THEN jsonb_to_tsvector('simple', "metadata" - '{graph_id,assistant_id}'::text[], '["string"]') END))
  WHERE "metadata" - '{graph_id,assistant_id}'::text[] <> '{}';
