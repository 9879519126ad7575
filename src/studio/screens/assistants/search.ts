import { text } from '../../data/search.ts';

/** What the list of assistants shows, as its URL says it. */
export interface AssistantsSearch {
  graph?: string | undefined;
  /** A part of the name. */
  find?: string | undefined;
  after?: string | undefined;
  before?: string | undefined;
}

export function readAssistantsSearch(search: Record<string, unknown>): AssistantsSearch {
  return {
    graph: text(search['graph']),
    find: text(search['find']),
    after: text(search['after']),
    before: text(search['before']),
  };
}

/** What the screen of an assistant shows. */
export interface AssistantSearch {
  /** The number of the selected version. Absent: the active one. */
  version?: string | undefined;
  /** The version that it is compared with. Absent: the one before. */
  vs?: string | undefined;
  /** `yes`: a new version is edited, from the selected one. */
  edit?: string | undefined;
}

export function readAssistantSearch(search: Record<string, unknown>): AssistantSearch {
  return {
    version: text(search['version']),
    vs: text(search['vs']),
    edit: text(search['edit']),
  };
}
