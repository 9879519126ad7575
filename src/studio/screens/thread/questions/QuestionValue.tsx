import { Icon } from '../../../ui/Icon.tsx';
import { shorten } from '../../../ui/shorten.ts';
import { showJson } from '../../../ui/json/parse.ts';
import { isSchema } from '../../../ui/forms/shape.ts';
import { partsOf } from './question.ts';
import classes from './questions.module.css';

const LONGEST_SHOWN = 20_000;

/** The value of a question: its text, its calls of tools, and its other fields. */
export function QuestionValue({ value }: { value: unknown }) {
  const { text, calls, fields } = partsOf(value);
  return (
    <>
      {text && <p className={classes['asked']}>{text}</p>}
      {calls.map(({ name, args }, index) => (
        <div key={index} className={classes['call']}>
          <div className={classes['callName']}>
            <Icon name="tool" size={14} />
            <code>{name}</code>
          </div>
          {isSchema(args) ? <FieldList fields={Object.entries(args)} /> : <Json value={args} />}
        </div>
      ))}
      {fields.length > 0 && <FieldList fields={fields} />}
    </>
  );
}

function FieldList({ fields }: { fields: readonly (readonly [string, unknown])[] }) {
  return (
    <dl className={classes['values']}>
      {fields.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>
            {typeof value === 'object' && value !== null ? <Json value={value} /> : String(value)}
          </dd>
        </div>
      ))}
    </dl>
  );
}

function Json({ value }: { value: unknown }) {
  return (
    <pre tabIndex={0} className={classes['json']}>
      {shorten(showJson(value), LONGEST_SHOWN)}
    </pre>
  );
}
