import { useId } from 'react';
import { Button } from '../../../ui/Button.tsx';
import { SchemaForm } from '../../../ui/forms/SchemaForm.tsx';
import { Icon } from '../../../ui/Icon.tsx';
import { Time } from '../../../ui/Time.tsx';
import { schemaFor, type Answers } from './answers.ts';
import { approvalRest, type Question } from './question.ts';
import { QuestionValue } from './QuestionValue.tsx';
import classes from './questions.module.css';

interface QuestionCardProps {
  question: Question;
  /** How many questions the thread has. */
  count: number;
  answers: Answers;
  mayWrite: boolean;
}

/** A question with the form for its answer. */
export function QuestionCard({ question, count, answers, mayWrite }: QuestionCardProps) {
  const { id, value, node, checkpointNamespace, createdAt } = question;
  const name = useId();
  const draft = answers.draftOf(question);
  return (
    <section className={classes['card']} aria-labelledby={name}>
      <header className={classes['head']}>
        <Icon name="question" />
        <h3 id={name}>
          Question of <code>{node}</code>
        </h3>
        {checkpointNamespace && <span className={classes['soft']}>in {checkpointNamespace}</span>}
        <span className={classes['when']}>
          <Time value={createdAt} />
        </span>
      </header>
      <QuestionValue value={value} />
      {mayWrite && (
        <>
          <SchemaForm
            label="Answer"
            schema={schemaFor(question, draft, count)}
            draft={draft}
            onChange={(next) => answers.setDraft(id, next)}
            isTried={answers.isTried(id)}
            allowsText={!question.responseSchema}
          />
          <Actions question={question} answers={answers} />
        </>
      )}
    </section>
  );
}

function Actions({ question, answers }: Pick<QuestionCardProps, 'question' | 'answers'>) {
  const isSending = answers.isSending(question.id);
  const isDecision =
    answers.draftOf(question).mode === 'form' &&
    approvalRest(question.responseSchema) !== undefined;
  return (
    <div className={classes['actions']}>
      <span role="status" className={classes['soft']}>
        {isSending ? 'Sending the answer' : ''}
      </span>
      {isDecision ? (
        <>
          <Button
            look="danger"
            icon="close"
            disabled={isSending}
            onClick={() => answers.decide(question, false)}
          >
            Reject
          </Button>
          <Button
            look="primary"
            icon="check"
            disabled={isSending}
            onClick={() => answers.decide(question, true)}
          >
            Approve
          </Button>
        </>
      ) : (
        <Button
          look="primary"
          icon="send"
          disabled={isSending}
          onClick={() => answers.send([question])}
        >
          Send the answer
        </Button>
      )}
    </div>
  );
}
