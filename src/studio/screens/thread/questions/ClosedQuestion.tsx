import { useQuery } from 'urql';
import { isOfThread, useReload } from '../../../data/feed.tsx';
import { Button } from '../../../ui/Button.tsx';
import { CopyButton } from '../../../ui/CopyButton.tsx';
import { showJson } from '../../../ui/json/parse.ts';
import type { Draft } from '../../../ui/forms/draft.ts';
import { Icon } from '../../../ui/Icon.tsx';
import { Time } from '../../../ui/Time.tsx';
import { READ_QUESTION, READ_RESULT, type AskedQuestion } from './documents.ts';
import { firstLine, type Question } from './question.ts';
import classes from './questions.module.css';

interface ClosedQuestionProps {
  question: Question;
  /** What the person entered, but did not send. */
  draft: Draft | undefined;
  onForget: () => void;
}

/** Says that a question is closed, with the other answer and the entry of this person. */
export function ClosedQuestion({ question, draft, onForget }: ClosedQuestionProps) {
  const [{ data }, read] = useQuery({
    query: READ_QUESTION,
    variables: { id: question.id },
    requestPolicy: 'network-only',
  });
  const asked = data?.interrupt;
  useReload(read, isOfThread(asked?.threadId));
  const entry = draft && (draft.mode === 'form' ? showJson(draft.value) : draft.text);
  return (
    <section className={classes['card']} aria-label="A question that waits no longer">
      <header className={classes['head']}>
        <Icon name="person" />
        <h3>Somebody else was first</h3>
      </header>
      <p role="alert">
        “{firstLine(question.value)}” waits no longer: another answer came first, or the thread went
        on without one. Your answer was not sent.
      </p>
      {asked && <Outcome asked={asked} />}
      {entry && (
        <div>
          <div className={classes['head']}>
            <span className={classes['soft']}>Your answer</span>
            <CopyButton text={entry} label="Copy your answer" />
          </div>
          <pre tabIndex={0} className={classes['json']} aria-label="Your answer">
            {entry}
          </pre>
        </div>
      )}
      <div className={classes['actions']}>
        <Button onClick={onForget}>Remove this note</Button>
      </div>
    </section>
  );
}

/** The run with the other answer, and the writes of its node. */
function Outcome({ asked }: { asked: AskedQuestion }) {
  const { threadId, checkpointId, checkpointNamespace: namespace, node, createdAt, thread } = asked;
  const run = thread.runs.nodes.findLast((each) => each.createdAt > createdAt);
  const [{ data }] = useQuery({
    query: READ_RESULT,
    variables: { threadId, checkpointId, namespace },
    requestPolicy: 'network-only',
    // The run has ended: the node has a result.
    pause: !run || run.status === 'PENDING' || run.status === 'RUNNING',
  });
  const tasks = data?.thread?.state?.tasks.filter(
    ({ name, result }) => name === node && result !== null,
  );
  return (
    <div>
      {run && (
        <p className={classes['soft']}>
          The thread went on <Time value={run.createdAt} /> with {run.assistant.name}.
        </p>
      )}
      {tasks?.map(({ result }, index) => (
        <details key={index}>
          <summary className={classes['soft']}>
            With the other answer, <code>{node}</code> wrote
          </summary>
          <pre tabIndex={0} className={classes['json']} aria-label="What the node wrote">
            {showJson(result).slice(0, 4000)}
          </pre>
        </details>
      ))}
    </div>
  );
}
