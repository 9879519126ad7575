-- The order of runs by their end. It also serves the sweep of old events, as the index on one column did.
CREATE INDEX "Run_finishedAt_id_idx" ON "Run"("finishedAt", "id");
DROP INDEX "Run_finishedAt_idx";

-- The place of a time in the list of runs, which has the order of "seq".
CREATE INDEX "Run_createdAt_idx" ON "Run"("createdAt");

-- The words of the texts in the metadata of threads, for threads with metadata of their own. Every PostgreSQL has the dictionary
-- "simple". A tsvector has at most a megabyte, so larger metadata are left out.
CREATE INDEX "Thread_text_idx" ON "Thread" USING GIN ((CASE WHEN length("metadata"::text) <= 262144
  THEN jsonb_to_tsvector('simple', "metadata" - 'graph_id', '["string"]') END)) WHERE "metadata" - 'graph_id' <> '{}';
