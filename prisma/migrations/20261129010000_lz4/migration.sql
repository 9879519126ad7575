-- PostgreSQL compresses a large value with pglz by default, at about 15 MB a second. lz4 is several times as fast. Not every
-- PostgreSQL has lz4, and before version 14 there is no choice: these go on with pglz. Stored values stay as they are.
DO $$
DECLARE
  place text[];
BEGIN
  FOREACH place SLICE 1 IN ARRAY ARRAY[
    ['ChannelItem', 'value'], ['ChannelValue', 'value'], ['CheckpointWrite', 'value'], ['RunEvent', 'data']
  ] LOOP
    EXECUTE format('ALTER TABLE %I ALTER COLUMN %I SET COMPRESSION lz4', place[1], place[2]);
  END LOOP;
EXCEPTION WHEN feature_not_supported OR syntax_error THEN
  NULL;
END $$;
