import '../assistants/schema.ts';
import '../auth/schema-keys.ts';
import '../checkpoints/schema.ts';
import '../events/schema-data.ts';
import '../events/schema.ts';
import '../graphs/schema.ts';
import '../interrupts/schema.ts';
import '../runs/schema-mutations.ts';
import '../runs/schema.ts';
import '../threads/schema-bulk.ts';
import '../threads/schema-changes.ts';
import '../threads/schema-mutations.ts';
import '../threads/schema-storage.ts';
import '../threads/schema.ts';
import { checkArguments } from './arguments.ts';
import { builder } from './builder.ts';
import './error-codes.ts';
import './node.ts';
import { resolveOnce } from './once.ts';
import './scalars.ts';
import './schema-server.ts';

/** The whole API. The schema files of each domain add their parts when they are imported. */
export const schema = checkArguments(resolveOnce(builder.toSchema()));
