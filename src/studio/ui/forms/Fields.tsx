import { useState } from 'react';
import { Button, IconButton } from '../Button.tsx';
import {
  AnyControl,
  BooleanControl,
  ChoiceControl,
  FixedControl,
  NumberControl,
  Remarks,
  TextControl,
  type ControlProps,
} from './Controls.tsx';
import { useForm, type FieldProps } from './context.ts';
import classes from './forms.module.css';
import { labelOf, optionLabel } from './labels.ts';
import { pathOf } from './problems.ts';
import { isSchema, shapeOf, type JsonSchema, type Shape } from './shape.ts';
import { chosenValue, optionAt } from './values.ts';

/** The field for a schema: a control, or a group of fields. */
export function SchemaField(props: FieldProps) {
  const { root } = useForm();
  const shape = shapeOf(props.schema, root);
  const all: ControlProps = { ...props, shape };
  switch (shape.kind) {
    case 'text':
      return <TextControl {...all} />;
    case 'number':
      return <NumberControl {...all} />;
    case 'boolean':
      return <BooleanControl {...all} />;
    case 'choice':
      return <ChoiceControl {...all} options={shape.options} />;
    case 'constant':
      return <FixedControl {...all} fixed={shape.value} />;
    case 'null':
      return <FixedControl {...all} fixed={null} />;
    case 'any':
      return <AnyControl {...all} />;
    case 'union':
      return <UnionField {...all} shape={shape} />;
    case 'object':
    case 'record':
    case 'list':
    case 'tuple':
    default:
      return <Group {...all} shape={shape} />;
  }
}

type GroupShape = Shape & { kind: 'object' | 'record' | 'list' | 'tuple' };

/** Fields under a common name. A group that is not required can be absent. */
function Group(props: FieldProps & { shape: GroupShape }) {
  const { shape, path, label, isRequired, value, onChange, schema } = props;
  const { root, id } = useForm();
  const isAbsent = value === undefined || value === null;
  const mayBeAbsent = !isRequired || shape.isNullable;
  const add = () => onChange(chosenValue(schema, root));
  if (path === '' && !isAbsent) {
    return (
      <div className={classes['fields']}>
        <Remarks path={path} hint={shape.description} />
        <Members {...props} />
      </div>
    );
  }
  return (
    <fieldset className={classes['group']}>
      <legend className={classes['label']}>
        {label}
        {!isRequired && <span className={classes['optional']}>optional</span>}
        {!isAbsent && mayBeAbsent && (
          <IconButton
            icon="close"
            isSmall
            label={`Remove ${label}`}
            onClick={() => onChange(shape.isNullable && isRequired ? null : undefined)}
          />
        )}
      </legend>
      <Remarks path={path} hint={shape.description} />
      {isAbsent ? (
        <Button id={`${id}${path}`} icon="plus" isSmall className={classes['add']} onClick={add}>
          Add {label}
        </Button>
      ) : (
        <Members {...props} />
      )}
    </fieldset>
  );
}

function Members(props: FieldProps & { shape: GroupShape }) {
  const { shape } = props;
  switch (shape.kind) {
    case 'object':
      return <ObjectMembers {...props} shape={shape} />;
    case 'record':
      return <RecordMembers {...props} values={shape.values} />;
    case 'list':
      return <ListMembers {...props} shape={shape} />;
    case 'tuple':
    default:
      return <TupleMembers {...props} items={shape.items} />;
  }
}

function ObjectMembers(props: FieldProps & { shape: Shape & { kind: 'object' } }) {
  const { shape, path, value, onChange } = props;
  const { root } = useForm();
  const object = isSchema(value) ? value : {};
  return shape.properties.map(({ name, schema, isRequired }) => (
    <SchemaField
      key={name}
      schema={schema}
      path={pathOf(path, name)}
      label={labelOf(name, shapeOf(schema, root))}
      isRequired={isRequired}
      value={object[name]}
      onChange={(next) => onChange({ ...object, [name]: next })}
    />
  ));
}

function ListMembers(props: FieldProps & { shape: Shape & { kind: 'list' } }) {
  const { shape, path, label, value, onChange } = props;
  const { root, id } = useForm();
  const items: unknown[] = Array.isArray(value) ? value : [];
  const { items: schema } = shape;
  const { title } = shapeOf(schema, root);
  return (
    <>
      {items.map((item, index) => (
        <div key={index} className={classes['item']}>
          <SchemaField
            schema={schema}
            path={pathOf(path, index)}
            label={`${title ?? label} ${index + 1}`}
            isRequired
            value={item}
            onChange={(next) => onChange(items.with(index, next))}
          />
          <IconButton
            icon="trash"
            isSmall
            label={`Remove ${title ?? label} ${index + 1}`}
            onClick={() => onChange(items.toSpliced(index, 1))}
          />
        </div>
      ))}
      <Button
        id={`${id}${path}`}
        icon="plus"
        isSmall
        className={classes['add']}
        onClick={() => onChange([...items, chosenItem(schema, root)])}
      >
        Add {title ?? label} {items.length + 1}
      </Button>
    </>
  );
}

/** A new item is there, but its value is not chosen yet. */
function chosenItem(schema: JsonSchema, root: JsonSchema): unknown {
  const { kind } = shapeOf(schema, root);
  return kind === 'number' || kind === 'boolean' ? undefined : chosenValue(schema, root);
}

function TupleMembers({
  items,
  path,
  label,
  value,
  onChange,
}: FieldProps & { items: readonly JsonSchema[] }) {
  const { root } = useForm();
  const values: unknown[] = Array.isArray(value) ? value : [];
  return items.map((schema, index) => (
    <SchemaField
      key={index}
      schema={schema}
      path={pathOf(path, index)}
      label={shapeOf(schema, root).title ?? `${label} ${index + 1}`}
      isRequired
      value={values[index]}
      onChange={(next) => onChange(items.map((_item, at) => (at === index ? next : values[at])))}
    />
  ));
}

function RecordMembers(props: FieldProps & { values: JsonSchema }) {
  const { values, path, label, value, onChange } = props;
  const { root, id } = useForm();
  const entries = Object.entries(isSchema(value) ? value : {});
  const names = entries.map(([name]) => name);
  const change = (next: [string, unknown][]) => onChange(Object.fromEntries(next));
  return (
    <>
      {entries.map(([name, each], index) => (
        <div key={index} className={classes['item']}>
          <div className={classes['entry']}>
            <EntryName
              label={`Name in ${label}`}
              name={name}
              others={names.toSpliced(index, 1)}
              onChange={(next) => change(entries.with(index, [next, each]))}
            />
            <SchemaField
              schema={values}
              path={pathOf(path, name)}
              label={name ? `Value of ${name}` : 'Value'}
              isRequired
              value={each}
              onChange={(next) => change(entries.with(index, [name, next]))}
            />
          </div>
          <IconButton
            icon="trash"
            isSmall
            label={`Remove ${name || 'the entry'}`}
            onClick={() => change(entries.toSpliced(index, 1))}
          />
        </div>
      ))}
      <Button
        id={`${id}${path}`}
        icon="plus"
        isSmall
        className={classes['add']}
        disabled={names.includes('')}
        onClick={() => change([...entries, ['', chosenItem(values, root)]])}
      >
        Add an entry
      </Button>
    </>
  );
}

interface EntryNameProps {
  label: string;
  name: string;
  /** The names of the other entries. */
  others: readonly string[];
  onChange: (name: string) => void;
}

/** The name of an entry. It changes when the person leaves the field, unless another entry has it. */
function EntryName({ label, name, others, onChange }: EntryNameProps) {
  const [text, setText] = useState(name);
  const isTaken = others.includes(text);
  return (
    <span className={classes['field']}>
      <span className={classes['label']} aria-hidden="true">
        Name
      </span>
      <input
        aria-label={label}
        aria-invalid={isTaken || undefined}
        value={text}
        onChange={(event) => setText(event.target.value)}
        onBlur={() => !isTaken && text !== name && onChange(text)}
      />
      {isTaken && <span className={classes['problem']}>Another entry has this name.</span>}
    </span>
  );
}

/** A field whose value can be of several kinds. */
function UnionField(props: FieldProps & { shape: Shape & { kind: 'union' } }) {
  const { shape, path, label, value, onChange, isRequired } = props;
  const { root, id } = useForm();
  const at = value === undefined && !isRequired ? -1 : optionAt(shape, value, root);
  const option = shape.options[at];
  const shapes = shape.options.map((each) => shapeOf(each, root));
  return (
    <fieldset className={classes['group']}>
      <legend className={classes['label']}>{label}</legend>
      <Remarks path={path} hint={shape.description} />
      <select
        aria-label={`Kind of ${label}`}
        id={`${id}${path}-kind`}
        value={at}
        onChange={({ target }) => {
          const chosen = shape.options[Number(target.value)];
          onChange(chosen && chosenValue(chosen, root));
        }}
      >
        {!isRequired && <option value={-1}>Nothing</option>}
        {shapes.map((each, index) => (
          <option key={index} value={index}>
            {optionLabel(each, index, constantsOf(each, root))}
          </option>
        ))}
      </select>
      {option && (
        <SchemaField
          key={at}
          schema={option}
          path={path}
          label={optionLabel(shapes[at] as Shape, at, constantsOf(shapes[at] as Shape, root))}
          isRequired
          value={value}
          onChange={onChange}
        />
      )}
    </fieldset>
  );
}

/** The fixed values of an object: they tell the options of a union apart. */
function constantsOf(shape: Shape, root: JsonSchema): unknown[] {
  if (shape.kind !== 'object') return [];
  return shape.properties.flatMap(({ schema }) => {
    const each = shapeOf(schema, root);
    return each.kind === 'constant' ? [each.value] : [];
  });
}
