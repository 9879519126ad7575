import { useEffect, useId, useMemo, useRef, useState, type FocusEvent } from 'react';
import { JsonEditor } from '../json/JsonEditor.tsx';
import { Tabs } from '../Tabs.tsx';
import { FormContext } from './context.ts';
import { draftProblems } from './check.ts';
import { switchMode, type Draft, type Mode } from './draft.ts';
import { SchemaField } from './Fields.tsx';
import classes from './forms.module.css';
import type { Problem } from './problems.ts';
import type { JsonSchema } from './shape.ts';
import { canShow } from './size.ts';

interface SchemaFormProps {
  /** The name of the whole value. */
  label: string;
  /** Absent: any value. */
  schema: JsonSchema | null;
  draft: Draft;
  onChange: (draft: Draft) => void;
  /** The person has tried to send: all problems are shown. */
  isTried: boolean;
  /** The value may be the text as it is. */
  allowsText?: boolean;
}

const NAMES: Record<Mode, string> = { form: 'Form', json: 'JSON', text: 'Text' };

/** Fields for a value with a JSON Schema, or an editor for its JSON. */
export function SchemaForm(props: SchemaFormProps) {
  const { label, schema, draft, onChange, isTried, allowsText = false } = props;
  const id = useId();
  const modes: Mode[] = [
    ...(schema && canShow(schema) ? (['form'] as const) : []),
    'json',
    ...(allowsText ? (['text'] as const) : []),
  ];
  const problems = draftProblems(schema, draft);
  return (
    <div className={classes['form']}>
      {modes.length > 1 && (
        <Tabs
          label={`How to enter ${label}`}
          tabs={modes.map((name) => ({ name, label: NAMES[name] }))}
          selected={draft.mode}
          onSelect={(mode) => onChange(switchMode(draft, mode))}
          panelId={`${id}panel`}
        />
      )}
      <div id={`${id}panel`} role={modes.length > 1 ? 'tabpanel' : undefined} aria-label={label}>
        {draft.mode === 'form' && schema ? (
          <Fields {...props} schema={schema} id={id} problems={problems} />
        ) : (
          <Editor label={label} draft={draft} onChange={onChange} />
        )}
      </div>
      {isTried && problems.length > 0 && (
        <ProblemList problems={problems} id={draft.mode === 'form' ? id : undefined} />
      )}
    </div>
  );
}

function Editor({ label, draft, onChange }: Pick<SchemaFormProps, 'label' | 'draft' | 'onChange'>) {
  const change = (text: string) => onChange({ ...draft, text });
  if (draft.mode === 'json')
    return <JsonEditor label={label} text={draft.text} onChange={change} />;
  return (
    <textarea
      aria-label={label}
      className={classes['text']}
      rows={Math.max(2, Math.min(12, draft.text.split('\n').length))}
      value={draft.text}
      onChange={(event) => change(event.target.value)}
    />
  );
}

type FieldsProps = Omit<SchemaFormProps, 'schema'> & {
  schema: JsonSchema;
  id: string;
  problems: readonly Problem[];
};

function Fields({ label, schema, draft, onChange, isTried, id, problems }: FieldsProps) {
  const [left, setLeft] = useState<ReadonlySet<string>>(new Set());
  const form = useMemo(() => {
    const messages = new Map(problems.map(({ path, message }) => [path, message]));
    return {
      id,
      root: schema,
      problemAt: (path: string) => (isTried || left.has(path) ? messages.get(path) : undefined),
    };
  }, [id, schema, problems, isTried, left]);

  const afterPress = useAfterPress();

  /** A field tells its problem when the person leaves it. */
  function onBlur({ target }: FocusEvent): void {
    const path = target.closest<HTMLElement>('[data-path]')?.dataset['path'];
    if (path !== undefined) afterPress(() => setLeft((before) => new Set([...before, path])));
  }

  return (
    <FormContext value={form}>
      <div className={classes['fields']} onBlur={onBlur}>
        <SchemaField
          schema={schema}
          path=""
          label={label}
          isRequired
          value={draft.value}
          onChange={(value) => onChange({ ...draft, value })}
        />
      </div>
    </FormContext>
  );
}

/** Calls an action when no button of a pointer is down: the page must not move between a press and its click. */
function useAfterPress(): (action: () => void) => void {
  const isDown = useRef(false);
  useEffect(() => {
    const note = ({ type }: Event) => void (isDown.current = type === 'pointerdown');
    const types = ['pointerdown', 'pointerup', 'pointercancel'];
    for (const type of types) addEventListener(type, note, true);
    return () => {
      for (const type of types) removeEventListener(type, note, true);
    };
  }, []);
  return (action) => {
    if (isDown.current) addEventListener('pointerup', () => setTimeout(action), { once: true });
    else action();
  };
}

interface ProblemListProps {
  problems: readonly Problem[];
  /** The begin of the ids of the fields, if there are fields. */
  id: string | undefined;
}

/** The problems of a form. Each one leads to its field. */
function ProblemList({ problems, id }: ProblemListProps) {
  return (
    <div className={classes['problems']} role="alert">
      <ul>
        {problems.map(({ path, field, message }) => (
          <li key={`${path} ${message}`}>
            {id !== undefined && field ? (
              <button
                type="button"
                className={classes['link']}
                onClick={() => document.getElementById(`${id}${path}`)?.focus()}
              >
                {field}
              </button>
            ) : (
              field && <strong>{field}</strong>
            )}
            {field && ': '}
            {message}
          </li>
        ))}
      </ul>
    </div>
  );
}
