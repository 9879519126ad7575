-- The user of a run, for its graph. Empty after its end.
ALTER TABLE "Run" ADD COLUMN "viewer" JSON;
