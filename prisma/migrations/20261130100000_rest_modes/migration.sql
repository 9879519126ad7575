-- The stream modes as a REST client named them: its streams have the same events after a restart.
ALTER TABLE "Run" ADD COLUMN "restModes" TEXT[] DEFAULT ARRAY[]::TEXT[];
