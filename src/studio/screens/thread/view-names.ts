/** The views beside the conversation, in the order of their tabs. */
export const VIEW_NAMES = ['timeline', 'state', 'runs', 'graph'] as const;

export type ViewName = (typeof VIEW_NAMES)[number];
