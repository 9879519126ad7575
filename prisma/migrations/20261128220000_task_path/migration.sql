-- LangGraph applies the writes of one step in the order of its tasks' paths. Rows from before have none, which comes first.
ALTER TABLE "CheckpointWrite" ADD COLUMN "taskPath" TEXT NOT NULL DEFAULT '';
