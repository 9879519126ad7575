-- The stored bytes of a thread at its last measurement.
CREATE TABLE "ThreadStorage" (
    "threadId" UUID NOT NULL,
    "tenant" TEXT NOT NULL,
    "owner" TEXT NOT NULL,
    "bytes" BIGINT NOT NULL,
    "threadUpdatedAt" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "ThreadStorage_pkey" PRIMARY KEY ("threadId")
);
ALTER TABLE "ThreadStorage" ADD CONSTRAINT "ThreadStorage_threadId_fkey" FOREIGN KEY ("threadId") REFERENCES "Thread"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- The sum for each owner.
CREATE TABLE "OwnerStorage" (
    "tenant" TEXT NOT NULL,
    "owner" TEXT NOT NULL,
    "bytes" BIGINT NOT NULL,

    CONSTRAINT "OwnerStorage_pkey" PRIMARY KEY ("tenant", "owner")
);

-- A trigger, so that the deletion of a thread by its foreign key also changes the sum.
CREATE FUNCTION "add_to_owner_storage"() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  changed "ThreadStorage";
  added bigint := 0;
BEGIN
  IF TG_OP <> 'INSERT' THEN changed := OLD; added := added - OLD."bytes"; END IF;
  IF TG_OP <> 'DELETE' THEN changed := NEW; added := added + NEW."bytes"; END IF;
  INSERT INTO "OwnerStorage" AS o ("tenant", "owner", "bytes") VALUES (changed."tenant", changed."owner", added)
    ON CONFLICT ("tenant", "owner") DO UPDATE SET "bytes" = o."bytes" + EXCLUDED."bytes";
  RETURN NULL;
END $$;
CREATE TRIGGER "ThreadStorage_owner" AFTER INSERT OR UPDATE OR DELETE ON "ThreadStorage"
  FOR EACH ROW EXECUTE FUNCTION "add_to_owner_storage"();
