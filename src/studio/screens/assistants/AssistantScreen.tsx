import { Link, useNavigate, useParams, useSearch } from '@tanstack/react-router';
import { useState } from 'react';
import { useMutation, useQuery } from 'urql';
import { useMayWrite } from '../../data/viewer.ts';
import { Button, buttonClass } from '../../ui/Button.tsx';
import { Id } from '../../ui/Id.tsx';
import { Empty, ErrorNote, Loading } from '../../ui/Notes.tsx';
import { list, Screen } from '../../ui/Screen.tsx';
import classes from './assistants.module.css';
import { DeleteAssistant } from './DeleteAssistant.tsx';
import { READ_ASSISTANT, TRY_ASSISTANT, type ShownAssistant } from './documents.ts';
import { EditVersion } from './EditVersion.tsx';
import type { AssistantSearch } from './search.ts';
import { VersionList } from './VersionList.tsx';
import { VersionView } from './VersionView.tsx';

/** An assistant with its versions. */
export function AssistantScreen() {
  const { assistantId } = useParams({ from: '/assistants/$assistantId' });
  const [{ data, error }, read] = useQuery({
    query: READ_ASSISTANT,
    variables: { id: assistantId },
    requestPolicy: 'cache-and-network',
  });
  if (error && !data) return <ErrorNote error={error} />;
  if (!data) return <Loading />;
  if (!data.assistant) {
    return (
      <Empty icon="search" title="This assistant does not exist">
        <p>It may have been deleted, or belong to someone else.</p>
        <Link to="/assistants" className={buttonClass()}>
          All assistants
        </Link>
      </Empty>
    );
  }
  return (
    <Versions
      key={assistantId}
      assistant={data.assistant}
      onChanged={() => read({ requestPolicy: 'network-only' })}
    />
  );
}

interface VersionsProps {
  assistant: ShownAssistant;
  onChanged: () => void;
}

function Versions({ assistant, onChanged }: VersionsProps) {
  const search = useSearch({ from: '/assistants/$assistantId' });
  const navigate = useNavigate({ from: '/assistants/$assistantId' });
  const mayWrite = useMayWrite();
  const versions = assistant.versions.nodes;
  const at = Number(search.version ?? assistant.version);
  const selected = versions.find(({ version }) => version === at) ?? versions[0];
  const change = (next: Partial<AssistantSearch>) =>
    void navigate({ search: { ...search, ...next } });

  return (
    <Screen
      title={assistant.name ?? 'Untitled'}
      count={
        <>
          {assistant.graphId} · <Id id={assistant.id} name="assistant" />
        </>
      }
      actions={mayWrite && <Actions assistant={assistant} />}
    >
      {!selected && <p className={list.note}>This version does not exist.</p>}
      {selected && (
        <div className={classes['panes']}>
          <VersionList
            versions={versions}
            active={assistant.version}
            selected={selected.version}
            search={search}
          />
          <VersionView
            assistant={assistant}
            version={selected}
            other={versions.find(
              ({ version }) => version === Number(search.vs ?? selected.version - 1),
            )}
            onCompare={(vs) => change({ vs })}
            onEdit={() => change({ edit: 'yes' })}
          />
        </div>
      )}
      {selected && search.edit && mayWrite && (
        <EditVersion
          assistant={assistant}
          from={selected}
          onClose={(version) => {
            if (version !== undefined) onChanged();
            void navigate({ search: version === undefined ? { ...search, edit: undefined } : {} });
          }}
        />
      )}
    </Screen>
  );
}

function Actions({ assistant }: { assistant: ShownAssistant }) {
  const [isDeleting, setDeleting] = useState(false);
  const [{ fetching }, create] = useMutation(TRY_ASSISTANT);
  const navigate = useNavigate();

  /** A new thread; its conversation takes the assistant of its metadata. */
  async function tryIt(): Promise<void> {
    const { data } = await create({ metadata: { assistant_id: assistant.id } });
    const id = data?.createThread?.id;
    if (id) await navigate({ to: '/threads/$threadId', params: { threadId: id } });
  }

  return (
    <>
      <Button look="plain" icon="trash" onClick={() => setDeleting(true)}>
        Delete…
      </Button>
      <Button look="primary" icon="play" disabled={fetching} onClick={() => void tryIt()}>
        Try it
      </Button>
      {isDeleting && <DeleteAssistant assistant={assistant} onClose={() => setDeleting(false)} />}
    </>
  );
}
