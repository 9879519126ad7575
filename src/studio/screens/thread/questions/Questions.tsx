import { useMayWrite } from '../../../data/viewer.ts';
import { Button } from '../../../ui/Button.tsx';
import { ErrorNote } from '../../../ui/Notes.tsx';
import { useAnswers, type AnswersOptions } from './answers.ts';
import { ClosedQuestion } from './ClosedQuestion.tsx';
import { QuestionCard } from './QuestionCard.tsx';
import classes from './questions.module.css';

/** The questions of a thread, each with a form for its answer. */
export function Questions({
  className = '',
  ...props
}: AnswersOptions & { className?: string | undefined }) {
  const { questions } = props;
  const answers = useAnswers(props);
  const mayWrite = useMayWrite();
  const { closed, error } = answers;
  const count = questions.length;
  const isSending = questions.some(({ id }) => answers.isSending(id));
  if (count === 0 && closed.length === 0) return null;
  return (
    <div className={`${classes['questions']} ${className}`}>
      <span role="status" className="visually-hidden">
        {count > 0 ? `${count} open ${count === 1 ? 'question' : 'questions'}` : ''}
      </span>
      {closed.map((question) => (
        <ClosedQuestion
          key={question.id}
          question={question}
          draft={answers.draftOf(question)}
          onForget={() => answers.forget(question.id)}
        />
      ))}
      {questions.map((question) => (
        <QuestionCard
          key={question.id}
          question={question}
          count={count}
          answers={answers}
          mayWrite={mayWrite}
        />
      ))}
      {count > 0 && closed.length === 0 && <ErrorNote error={error} />}
      {count > 1 && mayWrite && (
        <div className={classes['actions']}>
          <Button
            look="primary"
            icon="send"
            disabled={isSending}
            onClick={() => answers.send(questions)}
          >
            Send all {count} answers
          </Button>
        </div>
      )}
    </div>
  );
}
