import { Annotation, MessagesAnnotation } from '@langchain/langgraph';

export const Log = Annotation.Root({
  log: Annotation<string[]>({
    reducer: (before, after) => before.concat(after),
    default: () => [],
  }),
});

/** Makes a node: it appends `entry` to `log`. */
export function append(entry: string): () => typeof Log.Update {
  return () => ({ log: [entry] });
}

export const Jobs = Annotation.Root({
  ...Log.spec,
  jobs: Annotation<string[]>,
  job: Annotation<string>,
});

export const Talk = Annotation.Root({ ...Log.spec, ...MessagesAnnotation.spec });
