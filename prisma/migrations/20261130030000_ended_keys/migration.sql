-- The keys that have ended: they are deleted 30 days later.
CREATE INDEX "ApiKey_expiresAt_idx" ON "ApiKey"("expiresAt");
CREATE INDEX "ApiKey_revokedAt_idx" ON "ApiKey"("revokedAt");
