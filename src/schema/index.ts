import './scalars.ts';
import './node.ts';
import '../graphs/schema.ts';
import '../assistants/schema.ts';
import '../checkpoints/schema.ts';
import '../threads/schema.ts';
import '../runs/schema.ts';
import '../events/schema.ts';
import { checkArguments } from './arguments.ts';
import { builder } from './builder.ts';

/** The whole API. Each domain's schema.ts adds its part when it is imported. */
export const schema = checkArguments(builder.toSchema());
