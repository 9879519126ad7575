/** A model of the runs of a thread. Runs race with the requests about them, so it allows several answers and ends. */
export interface Model {
  threads: ModelThread[];
  /** Every accepted run, deleted ones included. */
  runs: ModelRun[];
  /** The number of tags so far. */
  tags: number;
}

export type Kind = 'work' | 'fail' | 'ask' | 'gate' | 'answer';
export type Strategy = 'REJECT' | 'ENQUEUE' | 'INTERRUPT' | 'ROLLBACK';
export type Action = 'KEEP' | 'ROLLBACK';
/** GONE: rolled back, or deleted with its thread. */
export type End = 'SUCCESS' | 'INTERRUPTED' | 'ERROR' | 'CANCELLED' | 'GONE';

/** The end of a run without a request to stop it, and its entries in the log of its thread. */
const KINDS: Record<Kind, { end: End; log: (tag: string) => string[] }> = {
  work: { end: 'SUCCESS', log: (tag) => [tag, 'a', 'b'] },
  fail: { end: 'ERROR', log: (tag) => [tag, 'a'] },
  ask: { end: 'INTERRUPTED', log: (tag) => [tag, 'before'] },
  gate: { end: 'SUCCESS', log: (tag) => [tag, 'before', 'hold', 'after'] },
  answer: { end: 'SUCCESS', log: () => ['ask'] },
};

export interface ModelRun {
  id: string;
  /** Its entry in the log of the thread: shows that the run was there. */
  tag: string;
  kind: Kind;
  delayed: boolean;
  thread: ModelThread;
  gate?: { isOpen: boolean; open(): Promise<void> };
  /** Requests to stop it that came in time. */
  stopped: Set<Action>;
  /** Requests to stop it that may have come too late. */
  maybeStopped: Set<Action>;
  /** Undefined: not known yet. */
  end?: End;
  /** True if a worker has claimed it. Undefined: not known yet. */
  started?: boolean;
  /** Deleted by itself: its entries stay in the thread. */
  deleted: boolean;
}

export interface ModelThread {
  id: string;
  exists: boolean;
  /** In the order of their acceptance. */
  runs: ModelRun[];
}

/** A possible state of a thread after its runs. */
export interface Rest {
  log: string[];
  /** The run with the pending interrupt. */
  askedBy: string | null;
  answer: string | null;
  status: 'IDLE' | 'INTERRUPTED' | 'ERROR';
}

const NEW_THREAD: Rest = { log: [], askedBy: null, answer: null, status: 'IDLE' };

/** True if the run waits at its gate or behind such a run, without a request to stop it; also if it is delayed. */
export function surelyActive(run: ModelRun): boolean {
  if (run.end || run.stopped.size + run.maybeStopped.size > 0) return false;
  return run.delayed || run.thread.runs.slice(0, run.thread.runs.indexOf(run) + 1).some(isHeld);
}

export function isHeld({ end, gate, delayed, stopped, maybeStopped }: ModelRun): boolean {
  return !end && gate?.isOpen === false && !delayed && stopped.size + maybeStopped.size === 0;
}

/** Whether the thread has a run that is due or running. */
export function busy({ runs }: ModelThread): 'yes' | 'no' | 'maybe' {
  const due = runs.filter((run) => !run.delayed);
  if (due.some(surelyActive)) return 'yes';
  return due.every(({ end }) => end) ? 'no' : 'maybe';
}

export function stop(run: ModelRun, action: Action): void {
  if (run.end) return;
  (surelyActive(run) ? run.stopped : run.maybeStopped).add(action);
}

export function possibleEnds(run: ModelRun): End[] {
  if (run.end) return [run.end];
  const { stopped, maybeStopped } = run;
  const asked = (action: Action) => stopped.has(action) || maybeStopped.has(action);
  return [
    ...(stopped.size === 0 ? [KINDS[run.kind].end] : []),
    ...(asked('KEEP') && !stopped.has('ROLLBACK') ? ['CANCELLED' as const] : []),
    ...(asked('ROLLBACK') ? ['GONE' as const] : []),
  ];
}

/** All possible states of the thread after the end of these runs. */
export function restsOf(runs: readonly ModelRun[]): Rest[] {
  let rests = [NEW_THREAD];
  // A delayed run does not start during a test.
  for (const run of runs.filter(({ delayed }) => !delayed)) {
    const next = rests.flatMap((rest) => possibleEnds(run).flatMap((end) => after(rest, run, end)));
    rests = [...new Map(next.map((rest) => [JSON.stringify(rest), rest])).values()];
  }
  return rests;
}

function after(rest: Rest, run: ModelRun, end: End): Rest[] {
  const { kind } = run;
  // An answer was accepted, so the thread had a pending interrupt.
  if (kind === 'answer' && end !== 'GONE' && rest.askedBy === null) return [];
  if (end === 'GONE') return [rest];
  return end === 'CANCELLED' ? afterCancel(rest, run) : [ended(rest, run)];
}

function afterCancel(rest: Rest, run: ModelRun): Rest[] {
  const { kind, tag, started } = run;
  const untouched = started === true ? [] : [rest];
  if (started === false) return untouched;
  const entries = KINDS[kind].log(tag);
  const nothing = { ...rest, status: rest.askedBy === null ? 'IDLE' : 'INTERRUPTED' } as const;
  const some = entries.map((_entry, n) => ({
    log: [...rest.log, ...entries.slice(0, n + 1)],
    askedBy: null,
    answer: kind === 'answer' ? tag : rest.answer,
    status: 'IDLE' as const,
  }));
  // The thread may have its input, without a step.
  const input = { ...rest, askedBy: null, status: 'IDLE' } as const;
  return [
    ...untouched,
    nothing,
    ...(kind === 'answer' ? [] : [input]),
    ...some,
    // The cancel may have come after its question.
    ...(kind === 'ask' ? [ended(rest, run)] : []),
  ];
}

function ended(rest: Rest, { id, kind, tag }: ModelRun): Rest {
  const end = KINDS[kind].end;
  return {
    log: [...rest.log, ...KINDS[kind].log(tag)],
    askedBy: kind === 'ask' ? id : null,
    answer: kind === 'answer' ? tag : rest.answer,
    status: end === 'SUCCESS' ? 'IDLE' : (end as 'INTERRUPTED' | 'ERROR'),
  };
}
