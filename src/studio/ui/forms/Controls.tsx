import { useState, type ReactNode } from 'react';
import { useForm, type FieldProps } from './context.ts';
import classes from './forms.module.css';
import type { Shape } from './shape.ts';

export type ControlProps = FieldProps & { shape: Shape };

interface ControlIds {
  id: string;
  'aria-describedby': string | undefined;
  'aria-invalid': boolean | undefined;
  'data-path': string;
}

interface LabelledProps extends ControlProps {
  /** More words below the control. */
  hint?: string | undefined;
  children: (ids: ControlIds) => ReactNode;
}

/** A control with its name, its description, and what is wrong with it. */
function Labelled({ shape, path, label, isRequired, hint: more, children }: LabelledProps) {
  const { default: standard } = shape.schema;
  const usual = standard === undefined ? '' : `Default: ${shownText(standard)}.`;
  const hint = [shape.description, more, usual].filter(Boolean).join(' ');
  const ids = useControlIds(path, hint);
  return (
    <div className={classes['field']}>
      <label htmlFor={ids.id} className={classes['label']}>
        {label}
        {!isRequired && <span className={classes['optional']}>optional</span>}
      </label>
      {children(ids)}
      <Remarks path={path} hint={hint} />
    </div>
  );
}

function useControlIds(path: string, hint: string | undefined): ControlIds {
  const { id, problemAt } = useForm();
  const isWrong = problemAt(path) !== undefined;
  const own = `${id}${path}`;
  const remarks = [isWrong && `${own}-problem`, hint && `${own}-hint`].filter(Boolean).join(' ');
  return {
    id: own,
    'aria-describedby': remarks || undefined,
    'aria-invalid': isWrong || undefined,
    'data-path': path,
  };
}

/** The description of a field, and what is wrong with it. */
export function Remarks({ path, hint }: { path: string; hint?: string | undefined }) {
  const { id, problemAt } = useForm();
  const wrong = problemAt(path);
  return (
    <>
      {hint && (
        <span id={`${id}${path}-hint`} className={classes['hint']}>
          {hint}
        </span>
      )}
      {wrong && (
        <span id={`${id}${path}-problem`} className={classes['problem']}>
          {wrong}
        </span>
      )}
    </>
  );
}

const INPUT_TYPES: Record<string, string> = {
  email: 'email',
  uri: 'url',
  date: 'date',
  time: 'time',
};
const HINTS: Record<string, string> = {
  'date-time': 'For example 2026-05-01T12:00:00Z.',
  uuid: 'A UUID.',
};
const LONGEST_LINE = 100;

export function TextControl(props: ControlProps) {
  const { shape, value, onChange } = props;
  const { format, pattern, maxLength } = shape.schema as {
    format?: string;
    pattern?: string;
    maxLength?: number;
  };
  const shown = shownText(value);
  const change = (text: string) => onChange(text === '' ? emptyOf(props) : text);
  const isLine = format ?? pattern ?? (maxLength !== undefined && maxLength <= LONGEST_LINE);
  return (
    <Labelled {...props} hint={format && HINTS[format]}>
      {(ids) =>
        isLine ? (
          <input
            {...ids}
            type={(format && INPUT_TYPES[format]) ?? 'text'}
            value={shown}
            onChange={(event) => change(event.target.value)}
          />
        ) : (
          <textarea
            {...ids}
            rows={Math.min(10, shown.split('\n').length)}
            value={shown}
            onChange={(event) => change(event.target.value)}
          />
        )
      }
    </Labelled>
  );
}

/** A text that is no number stays as it is, so that the form can say so. */
export function NumberControl(props: ControlProps) {
  const { shape, value, onChange } = props;
  const [text, setText] = useState(shownText(value));
  const shown = numberOf(text) === value || text === value ? text : shownText(value);
  return (
    <Labelled {...props} hint={rangeOf(shape)}>
      {(ids) => (
        <input
          {...ids}
          inputMode="decimal"
          autoComplete="off"
          className={classes['number']}
          value={shown}
          onChange={({ target }) => {
            setText(target.value);
            onChange(target.value.trim() === '' ? emptyOf(props) : numberOf(target.value));
          }}
        />
      )}
    </Labelled>
  );
}

export function ChoiceControl(props: ControlProps & { options: readonly unknown[] }) {
  const { options, value, onChange, shape, isRequired } = props;
  const at = options.indexOf(value);
  const isEmptyPossible = at < 0 || !isRequired || shape.isNullable;
  return (
    <Labelled {...props}>
      {(ids) => (
        <select
          {...ids}
          value={at}
          onChange={({ target }) => {
            const index = Number(target.value);
            onChange(index < 0 ? emptyOf(props) : options[index]);
          }}
        >
          {isEmptyPossible && (
            <option value={-1}>{shape.isNullable ? 'Nothing' : 'Choose…'}</option>
          )}
          {options.map((option, index) => (
            <option key={String(option)} value={index}>
              {typeof option === 'string' ? option : JSON.stringify(option)}
            </option>
          ))}
        </select>
      )}
    </Labelled>
  );
}

/** Yes, no, or neither yet: an answer that the person did not give is not "no". */
export function BooleanControl(props: ControlProps) {
  const { path, label, isRequired, value, onChange, shape } = props;
  const { 'data-path': at, id, ...ids } = useControlIds(path, shape.description);
  const choices: [name: string, value: unknown][] = [
    ['Yes', true],
    ['No', false],
  ];
  if (!isRequired || shape.isNullable) choices.push(['No answer', emptyOf(props)]);
  return (
    <fieldset className={classes['choices']} {...ids} data-path={at}>
      <legend className={classes['label']}>
        {label}
        {!isRequired && <span className={classes['optional']}>optional</span>}
      </legend>
      <div className={classes['radios']}>
        {choices.map(([name, each], index) => (
          <label key={name}>
            <input
              type="radio"
              id={index === 0 ? id : undefined}
              name={id}
              checked={value === each}
              onChange={() => onChange(each)}
            />
            {name}
          </label>
        ))}
      </div>
      <Remarks path={path} hint={shape.description} />
    </fieldset>
  );
}

/** Any value: JSON, or a text. */
export function AnyControl(props: ControlProps) {
  const { value, onChange } = props;
  const [text, setText] = useState(() => textOfAny(value));
  const shown = sameValue(anyOf(text), value) ? text : textOfAny(value);
  const isText = typeof anyOf(shown) === 'string';
  return (
    <Labelled {...props} hint={isText ? 'Sent as a text.' : 'JSON, or a text.'}>
      {(ids) => (
        <textarea
          {...ids}
          className={classes['code']}
          rows={Math.min(12, shown.split('\n').length)}
          value={shown}
          onChange={({ target }) => {
            setText(target.value);
            onChange(anyOf(target.value));
          }}
        />
      )}
    </Labelled>
  );
}

/** A value that cannot be another one. */
export function FixedControl(props: ControlProps & { fixed: unknown }) {
  const { label, fixed } = props;
  return (
    <div className={classes['field']}>
      <span className={classes['label']}>{label}</span>
      <code>{typeof fixed === 'string' ? fixed : JSON.stringify(fixed)}</code>
    </div>
  );
}

/** The value of a field without an entry. */
function emptyOf({ shape, isRequired }: ControlProps): null | undefined {
  return shape.isNullable && isRequired ? null : undefined;
}

function numberOf(text: string): number | string {
  const number = Number(text);
  return text.trim() === '' || Number.isNaN(number) ? text : number;
}

function rangeOf({ schema }: Shape): string | undefined {
  const { minimum: least, maximum: most } = schema as { minimum?: number; maximum?: number };
  const isSmall = (limit: number | undefined): limit is number =>
    limit !== undefined && Math.abs(limit) < Number.MAX_SAFE_INTEGER;
  if (isSmall(least) && isSmall(most)) return `From ${least} to ${most}.`;
  if (isSmall(least)) return `At least ${least}.`;
  return isSmall(most) ? `At most ${most}.` : undefined;
}

function shownText(value: unknown): string {
  if (value === undefined || value === null) return '';
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function anyOf(text: string): unknown {
  if (text.trim() === '') return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function textOfAny(value: unknown): string {
  if (value === undefined) return '';
  return typeof value === 'string' && anyOf(value) === value
    ? value
    : JSON.stringify(value, null, 2);
}

function sameValue(one: unknown, other: unknown): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}
