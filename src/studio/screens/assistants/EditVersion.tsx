import { useState } from 'react';
import { useMutation } from 'urql';
import { Button } from '../../ui/Button.tsx';
import { Dialog, DialogActions } from '../../ui/Dialog.tsx';
import { Field } from '../../ui/Field.tsx';
import { draftProblems } from '../../ui/forms/check.ts';
import { newDraft, readDraft, type Draft } from '../../ui/forms/draft.ts';
import { SchemaForm } from '../../ui/forms/SchemaForm.tsx';
import type { JsonSchema } from '../../ui/forms/shape.ts';
import { JsonEditor } from '../../ui/json/JsonEditor.tsx';
import { parseObject, showJson } from '../../ui/json/parse.ts';
import { ErrorNote } from '../../ui/Notes.tsx';
import { UPDATE_ASSISTANT, type AssistantVersion, type ShownAssistant } from './documents.ts';

interface EditVersionProps {
  assistant: ShownAssistant;
  /** The new version begins with the fields of this one. */
  from: AssistantVersion;
  /** With the number of the new version, if there is one. */
  onClose: (version?: number) => void;
}

/** Makes a new version of an assistant. */
export function EditVersion({ assistant, from, onClose }: EditVersionProps) {
  const schema = contextSchema(assistant);
  const edited = useEdited(assistant.id, from, schema);
  const { fields, change, clear } = edited;
  const config = parseObject(fields.config);
  const metadata = parseObject(fields.metadata);
  const saving = useSaving(assistant.id, schema, fields);

  async function save(): Promise<void> {
    const version = await saving.save();
    if (version === undefined) return;
    clear();
    onClose(version);
  }

  function cancel(): void {
    clear();
    onClose();
  }

  return (
    <Dialog title={`New version, from version ${from.version}`} isWide onClose={cancel}>
      <Names fields={fields} change={change} />
      <h3>Context</h3>
      <SchemaForm
        label="Context"
        schema={schema}
        draft={fields.context}
        onChange={(context) => change({ context })}
        isTried={saving.isTried}
      />
      <JsonField
        label="Config"
        hint={
          config.error ?? 'LangGraph configuration: configurable, tags, metadata, recursion_limit.'
        }
        text={fields.config}
        onChange={(text) => change({ config: text })}
      />
      <JsonField
        label="Metadata"
        hint={metadata.error ?? 'Free fields, also merged into the metadata of runs.'}
        text={fields.metadata}
        onChange={(text) => change({ metadata: text })}
      />
      <ErrorNote error={saving.error} />
      <DialogActions>
        <Button onClick={cancel}>Cancel</Button>
        <Button look="primary" disabled={saving.isSaving} onClick={() => void save()}>
          Save as a new version
        </Button>
      </DialogActions>
    </Dialog>
  );
}

/** Sends the new version. The result is its number, or undefined after a refusal or with wrong entries. */
function useSaving(id: string, schema: JsonSchema, fields: EditedFields) {
  const [isTried, setTried] = useState(false);
  const [{ error, fetching }, update] = useMutation(UPDATE_ASSISTANT);

  async function save(): Promise<number | undefined> {
    setTried(true);
    const config = parseObject(fields.config);
    const metadata = parseObject(fields.metadata);
    const isWrong = config.error !== undefined || metadata.error !== undefined;
    if (isWrong || draftProblems(schema, fields.context).length > 0) return undefined;
    const input = {
      name: fields.name,
      description: fields.description || null,
      context: readDraft(fields.context).value as Record<string, unknown>,
      config: config.value ?? {},
      metadata: metadata.value ?? {},
    };
    const { data } = await update({ id, input });
    return data?.updateAssistant?.version;
  }

  return { isTried, error, isSaving: fetching, save };
}

function Names({ fields, change }: Pick<Edited, 'fields' | 'change'>) {
  return (
    <>
      <Field label="Name">
        {(ids) => (
          <input
            {...ids}
            maxLength={255}
            value={fields.name}
            onChange={(event) => change({ name: event.target.value })}
          />
        )}
      </Field>
      <Field label="Description">
        {(ids) => (
          <input
            {...ids}
            value={fields.description}
            onChange={(event) => change({ description: event.target.value })}
          />
        )}
      </Field>
    </>
  );
}

interface JsonFieldProps {
  label: string;
  hint: string;
  text: string;
  onChange: (text: string) => void;
}

function JsonField({ label, hint, text, onChange }: JsonFieldProps) {
  return (
    <Field label={label} hint={hint}>
      {() => <JsonEditor label={label} text={text} onChange={onChange} />}
    </Field>
  );
}

/** A run can add what the assistant leaves open: nothing at the top is required. */
function contextSchema({ graph }: ShownAssistant): JsonSchema {
  const { required: _required, ...schema } = graph.contextSchema ?? { type: 'object' };
  return schema;
}

interface EditedFields {
  name: string;
  description: string;
  context: Draft;
  config: string;
  metadata: string;
}

interface Edited {
  fields: EditedFields;
  change: (change: Partial<EditedFields>) => void;
  /** Forgets what was entered. */
  clear: () => void;
}

/** The entries. They stay after a reload of the page or a new login. */
function useEdited(id: string, from: AssistantVersion, schema: JsonSchema): Edited {
  const name = `threadql.assistant ${id} ${from.version}`;
  const [fields, setFields] = useState<EditedFields>(() => {
    const kept = sessionStorage.getItem(name);
    return kept ? (JSON.parse(kept) as EditedFields) : fieldsOf(from, schema);
  });
  return {
    fields,
    change(next) {
      const all = { ...fields, ...next };
      setFields(all);
      sessionStorage.setItem(name, JSON.stringify(all));
    },
    clear: () => sessionStorage.removeItem(name),
  };
}

function fieldsOf(from: AssistantVersion, schema: JsonSchema): EditedFields {
  return {
    name: from.name ?? '',
    description: from.description ?? '',
    context: newDraft(schema, from.context),
    config: showJson(from.config),
    metadata: showJson(from.metadata),
  };
}
