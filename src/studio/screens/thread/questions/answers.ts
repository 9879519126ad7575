import { useRef, useState } from 'react';
import type { CombinedError } from 'urql';
import { useApi } from '../../../data/provider.tsx';
import { readDraft, newDraft, type Draft } from '../../../ui/forms/draft.ts';
import { draftProblems } from '../../../ui/forms/check.ts';
import { ANSWER, type AnswerInput } from './documents.ts';
import { useDrafts } from './drafts.ts';
import { approvalRest, type Question } from './question.ts';

export interface AnswersOptions {
  threadId: string;
  /** The assistant that goes on with the answer. */
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
  const [seen, setSeen] = useState(questions);
  const [closed, setClosed] = useState<readonly Question[]>([]);
  if (idsOf(seen) !== idsOf(questions)) {
    setSeen(questions);
    const gone = without(seen, questions);
    // An unsent answer stays in view. A question can come back, if its run failed.
    const unsent = gone.filter(({ id }) => !sent.has(id) && drafts.get(id));
    setClosed([...without(closed, questions), ...unsent]);
    forgetSent(gone);
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
    void sendNow(
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
    void sendNow([{ interruptId: question.id, value: { ...others, approved: isApproved } }]);
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
      setClosed(closed.filter((each) => each.id !== id));
    },
    error,
  };
}

/** The schema of the form: buttons take the place of `approved`, unless several answers can be sent together. */
export function formSchema({ responseSchema }: Question, count: number) {
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

  async function send(resume: readonly Resume[]): Promise<void> {
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
      for (const id of ids) onSent(id);
      return;
    }
    setError(refusal);
    setSent((before) => new Set([...before].filter((id) => !ids.includes(id))));
  }

  function forgetSent(gone: readonly Question[]): void {
    const left = [...sent].filter((id) => gone.every((each) => each.id !== id));
    if (left.length < sent.size) setSent(new Set(left));
  }

  return { sent, send, error, forgetSent };
}

function idsOf(questions: readonly Question[]): string {
  return questions.map(({ id }) => id).join(' ');
}

function without(some: readonly Question[], others: readonly Question[]): readonly Question[] {
  return some.filter(({ id }) => others.every((other) => other.id !== id));
}
