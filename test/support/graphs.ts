// All graphs of langgraph.json beside this file, for tests without a server.
export * from './graphs/control-flow.ts';
export * from './graphs/custom-events.ts';
export * from './graphs/failures.ts';
export * from './graphs/messages.ts';
export * from './graphs/question-pairs.ts';
export * from './graphs/questions.ts';
export * from './graphs/subgraphs.ts';
export * from './graphs/tool-calls.ts';
