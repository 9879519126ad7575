import { CopyButton } from '../../ui/CopyButton.tsx';
import { LongText } from '../../ui/json/JsonValue.tsx';
import { showJson } from '../../ui/json/parse.ts';
import { list } from '../../ui/Screen.tsx';
import classes from './GraphsScreen.module.css';
import { schemaFields } from './schema-fields.ts';

interface SchemaTableProps {
  title: string;
  schema: Record<string, unknown> | null;
  /** What it means that there is none. */
  missing: string;
}

/** A JSON Schema as a table of its fields, with the schema itself. */
export function SchemaTable({ title, schema, missing }: SchemaTableProps) {
  const fields = schema ? schemaFields(schema) : [];
  return (
    <section className={classes['schema']} aria-label={title}>
      <h3>{title}</h3>
      {!schema && <p className={list.soft}>{missing}</p>}
      {schema && fields.length === 0 && <p className={list.soft}>It has no named fields.</p>}
      {fields.length > 0 && (
        <div
          className={classes['fields']}
          tabIndex={0}
          role="region"
          aria-label={`${title}, fields`}
        >
          <table className={list.table}>
            <thead>
              <tr>
                <th>Field</th>
                <th>Type</th>
                <th>Default</th>
                <th>Description</th>
              </tr>
            </thead>
            <tbody>
              {fields.map((field, index) => (
                <tr key={`${field.path} ${index}`}>
                  <td title={field.path} style={{ paddingLeft: 12 + field.depth * 16 }}>
                    <code>{field.name}</code>
                    {field.isRequired && <span className={classes['required']}> required</span>}
                  </td>
                  <td>{field.type}</td>
                  <td>
                    <code>{field.fallback?.slice(0, 100)}</code>
                  </td>
                  <td>{field.description}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {schema && <RawSchema title={title} text={showJson(schema)} />}
    </section>
  );
}

function RawSchema({ title, text }: { title: string; text: string }) {
  return (
    <details>
      <summary>JSON Schema</summary>
      <CopyButton text={text} label={`Copy the schema: ${title}`} />
      <LongText label={`JSON Schema: ${title}`} text={text} />
    </details>
  );
}
