-- The type of the node that has an id, NULL where it is free. Nobody else who asks can take it until the transaction ends.
-- A function, so that what it reads is what is there once it has the lock: a statement sees what was there when it began.
CREATE FUNCTION "lock_id"("wanted" uuid) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_advisory_xact_lock(hashtextextended("wanted"::text, 0));
  RETURN CASE
    WHEN EXISTS (SELECT 1 FROM "Assistant" WHERE "id" = "wanted") THEN 'Assistant'
    WHEN EXISTS (SELECT 1 FROM "Thread" WHERE "id" = "wanted") THEN 'Thread'
    WHEN EXISTS (SELECT 1 FROM "Run" WHERE "id" = "wanted") THEN 'Run'
  END;
END $$;
