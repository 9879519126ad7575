-- The metadata within the tenant: a search does not read the entries of other tenants.
DROP INDEX "Assistant_metadata_idx";
DROP INDEX "Thread_metadata_idx";
DROP INDEX "Run_metadata_idx";
CREATE INDEX "Assistant_metadata_idx" ON "Assistant" USING GIN ((jsonb_set('{}', ARRAY["tenant"], "metadata")) jsonb_path_ops);
CREATE INDEX "Thread_metadata_idx" ON "Thread" USING GIN ((jsonb_set('{}', ARRAY["tenant"], "metadata")) jsonb_path_ops);
CREATE INDEX "Run_metadata_idx" ON "Run" USING GIN ((jsonb_set('{}', ARRAY["tenant"], "metadata")) jsonb_path_ops);

-- The texts in the metadata of threads, and the tenant after a space, as no word has it.
DROP INDEX "Thread_text_idx";
CREATE INDEX "Thread_text_idx" ON "Thread" USING GIN ((CASE WHEN length("metadata"::text) <= 262144
  THEN jsonb_to_tsvector('simple', "metadata" - '{graph_id,assistant_id}'::text[], '["string"]') || array_to_tsvector(ARRAY[' ' || "tenant"]) END))
  WHERE "metadata" - '{graph_id,assistant_id}'::text[] <> '{}';

-- The order of ids within a tenant.
CREATE INDEX "Thread_tenant_id_idx" ON "Thread"("tenant", "id");
CREATE INDEX "Assistant_tenant_id_idx" ON "Assistant"("tenant", "id");
