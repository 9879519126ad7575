-- Until now, an empty context was the same as none, and graphs got none. An empty one is one now; the JSON null says that there is none.
ALTER TABLE "Assistant" ALTER COLUMN "context" SET DEFAULT 'null';
ALTER TABLE "AssistantVersion" ALTER COLUMN "context" SET DEFAULT 'null';
ALTER TABLE "Run" ALTER COLUMN "context" SET DEFAULT 'null';
UPDATE "Assistant" SET "context" = 'null' WHERE "context"::text = '{}';
UPDATE "AssistantVersion" SET "context" = 'null' WHERE "context"::text = '{}';
-- A run that has ended gives its context to nobody but a graph function that shows its checkpoints.
UPDATE "Run" SET "context" = 'null' WHERE "context"::text = '{}' AND "status" IN ('PENDING', 'RUNNING');
