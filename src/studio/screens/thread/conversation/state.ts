import type { ThreadActions, ThreadState } from '../../../../client/types.ts';

/** A conversation as the client has it, with what a person can do in it. */
export type ConversationState = ThreadState & ThreadActions;
