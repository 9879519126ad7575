/** The fields of an interrupt. */
export const INTERRUPT =
  'id value node threadId checkpointId checkpointNamespace run { id } thread { id }';

/** The fields of a state, without its parent and children. */
export const STATE = `
  checkpointId threadId thread { id } namespace parentCheckpointId source step runId run { id status }
  values messages { messageId type text } writes next ran
  tasks { taskId name path error result interrupts { ${INTERRUPT} } state { namespace } }
  interrupts { ${INTERRUPT} } metadata createdAt` as const;
