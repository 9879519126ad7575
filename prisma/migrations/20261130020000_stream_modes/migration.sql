-- Events of the stream modes DEBUG, TOOLS and EVENTS.
ALTER TYPE "RunEventType" ADD VALUE 'DEBUG';
ALTER TYPE "RunEventType" ADD VALUE 'TOOLS';
ALTER TYPE "RunEventType" ADD VALUE 'EVENTS';
