import { useEffect, useRef, useState } from 'react';
import type { CombinedError } from 'urql';
import { useApi } from '../../../data/provider.tsx';
import { readDraft, newDraft, type Draft } from '../../../ui/forms/draft.ts';
import { draftProblems } from '../../../ui/forms/check.ts';
import { ANSWER, type AnswerInput } from './documents.ts';
import { useDrafts } from './drafts.ts';
import { approvalRest, type Question } from './question.ts';

export interface AnswersOptions {
  threadId: string;
  /** The assistant of the run with the answer. */
  assistantId: string;
  /** Further fields of the run. */
  run: Partial<AnswerInput>;
  questions: readonly Question[];
}

export interface Answers {
  draftOf(question: Question): Draft;
  setDraft(id: string, draft: Draft): void;
  /** The person has tried to send this answer. */
  isTried(id: string): boolean;
  isSending(id: string): boolean;
  /** Sends the answers to these questions in one run, unless a problem is left. */
  send(questions: readonly Question[]): void;
  /** Answers a question with its boolean `approved`. */
  decide(question: Question, isApproved: boolean): void;
  /** Questions with an unsent answer that wait no longer. */
  closed: readonly Question[];
  forget(id: string): void;
  error: Error | undefined;
}

/** What a person does with the questions of a thread. */
export function useAnswers(options: AnswersOptions): Answers {
  const { questions } = options;
  const drafts = useDrafts();
  const [tried, setTried] = useState<ReadonlySet<string>>(new Set());
  const { sent, send: sendNow, error, forgetSent } = useSending(options, drafts.remove);
  const { closed, keepGone, forget } = useClosed(questions, {
    isUnsent: ({ id }) => !sent.has(id) && drafts.get(id) !== undefined,
    onGone: forgetSent,
  });

  async function sendOrKeep(chosen: readonly Question[], resume: Resume[]): Promise<void> {
    if (!(await sendNow(resume))) keepGone(chosen);
  }

  function draftOf(question: Question): Draft {
    return drafts.get(question.id) ?? newDraft(formSchema(question, questions.length));
  }

  function send(chosen: readonly Question[]): void {
    const answers = chosen.map((question) => ({ question, draft: draftOf(question) }));
    const isWrong = answers.some(
      ({ question, draft }) =>
        draftProblems(schemaFor(question, draft, questions.length), draft).length > 0,
    );
    for (const { question, draft } of answers) drafts.set(question.id, draft);
    setTried(new Set([...tried, ...chosen.map(({ id }) => id)]));
    if (isWrong) return;
    const valueOf = (draft: Draft) => readDraft(draft).value;
    void sendOrKeep(
      chosen,
      answers.map(({ question: { id }, draft }) => ({ interruptId: id, value: valueOf(draft) })),
    );
  }

  function decide(question: Question, isApproved: boolean): void {
    const draft = draftOf(question);
    const { approved: _before, ...others } = draft.value as Record<string, unknown>;
    drafts.set(question.id, draft);
    setTried(new Set([...tried, question.id]));
    const rest = approvalRest(question.responseSchema) ?? null;
    if (draftProblems(rest, { ...draft, value: others }).length > 0) return;
    const value = { ...others, approved: isApproved };
    void sendOrKeep([question], [{ interruptId: question.id, value }]);
  }

  return {
    draftOf,
    setDraft: drafts.set,
    isTried: (id) => tried.has(id),
    isSending: (id) => sent.has(id),
    send,
    decide,
    closed,
    forget(id) {
      drafts.remove(id);
      forget(id);
    },
    error,
  };
}

/** The schema of the form: buttons take the place of `approved`, unless several answers can be sent together. */
function formSchema({ responseSchema }: Question, count: number) {
  return (count === 1 ? approvalRest(responseSchema) : undefined) ?? responseSchema;
}

/** The schema of the answer in a draft. */
export function schemaFor(question: Question, { mode }: Draft, count: number) {
  return mode === 'form' ? formSchema(question, count) : question.responseSchema;
}

interface Resume {
  interruptId: string;
  value: unknown;
}

/** Sends answers. The same answers have the same key, so that a repetition after a lost connection is safe. */
function useSending({ threadId, assistantId, run }: AnswersOptions, onSent: (id: string) => void) {
  const api = useApi();
  const keys = useRef(new Map<string, string>());
  const [sent, setSent] = useState<ReadonlySet<string>>(new Set());
  const [error, setError] = useState<CombinedError | undefined>(undefined);

  /** Whether the server took the answers. */
  async function send(resume: readonly Resume[]): Promise<boolean> {
    const ids = resume.map(({ interruptId }) => interruptId);
    const content = JSON.stringify(resume);
    const idempotencyKey = keys.current.get(content) ?? crypto.randomUUID();
    keys.current.set(content, idempotencyKey);
    setSent((before) => new Set([...before, ...ids]));
    setError(undefined);
    const input = {
      ...run,
      threadId,
      assistantId,
      idempotencyKey,
      command: { resume: [...resume] },
    };
    const { error: refusal } = await api.mutation(ANSWER, { input });
    if (!refusal) {
      // The same answer can be right again, to the next run of the question.
      keys.current.delete(content);
      for (const id of ids) onSent(id);
      return true;
    }
    setError(refusal);
    setSent((before) => new Set([...before].filter((id) => !ids.includes(id))));
    return false;
  }

  function forgetSent(gone: readonly Question[]): void {
    const left = [...sent].filter((id) => gone.every((each) => each.id !== id));
    if (left.length < sent.size) setSent(new Set(left));
  }

  return { sent, send, error, forgetSent };
}

interface ClosedOptions {
  /** Whether the person has begun an answer to the question, and not sent it. */
  isUnsent: (question: Question) => boolean;
  onGone: (questions: readonly Question[]) => void;
}

/** The questions that wait no longer while the person has an answer to them. */
function useClosed(questions: readonly Question[], { isUnsent, onGone }: ClosedOptions) {
  const [seen, setSeen] = useState(questions);
  const [closed, setClosed] = useState<readonly Question[]>([]);
  const latest = useRef(questions);
  useEffect(() => {
    latest.current = questions;
  });
  if (idsOf(seen) !== idsOf(questions)) {
    setSeen(questions);
    const gone = without(seen, questions);
    // A question can come back, if its run failed.
    setClosed([...without(closed, questions), ...gone.filter(isUnsent)]);
    onGone(gone);
  }
  return {
    closed,
    /** After a refusal: those of the questions that have gone in the meantime. */
    keepGone(refused: readonly Question[]): void {
      const gone = without(refused, latest.current);
      setClosed((all) => [...without(all, gone), ...gone]);
    },
    forget: (id: string) => setClosed((all) => all.filter((each) => each.id !== id)),
  };
}

function idsOf(questions: readonly Question[]): string {
  return questions.map(({ id }) => id).join(' ');
}

function without(some: readonly Question[], others: readonly Question[]): readonly Question[] {
  return some.filter(({ id }) => others.every((other) => other.id !== id));
}
