-- Why a client cancelled the run.
ALTER TABLE "Run" ADD COLUMN "cancelReason" TEXT;
