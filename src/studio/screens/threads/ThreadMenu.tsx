import { useNavigate } from '@tanstack/react-router';
import { useState } from 'react';
import { useMutation } from 'urql';
import { Menu } from '../../ui/Menu.tsx';
import { COPY_THREAD } from './documents.ts';
import { DeleteThread } from './DeleteThread.tsx';
import { RenameThread } from './RenameThread.tsx';
import { titleOf } from './title.ts';

interface ThreadMenuProps {
  thread: {
    id: string;
    metadata: Record<string, unknown>;
    preview: { title: string | null } | null;
  };
  onChanged: () => void;
}

/** What a person can do with a whole thread. */
export function ThreadMenu({ thread, onChanged }: ThreadMenuProps) {
  const [open, setOpen] = useState<'rename' | 'delete' | undefined>(undefined);
  const [, copy] = useMutation(COPY_THREAD);
  const navigate = useNavigate();
  const close = () => setOpen(undefined);
  const name = titleOf(thread) ?? thread.id.slice(0, 8);

  async function copyAndOpen(): Promise<void> {
    const { data } = await copy({ id: thread.id });
    const id = data?.copyThread?.id;
    if (id) await navigate({ to: '/threads/$threadId', params: { threadId: id } });
  }

  return (
    <>
      <Menu
        label={`Actions for ${name}`}
        items={[
          { label: 'Rename…', icon: 'edit', onSelect: () => setOpen('rename') },
          { label: 'Copy', icon: 'copy', onSelect: () => void copyAndOpen() },
          { label: 'Delete…', icon: 'trash', isDangerous: true, onSelect: () => setOpen('delete') },
        ]}
      />
      {open === 'rename' && <RenameThread thread={thread} onClose={close} />}
      {open === 'delete' && (
        <DeleteThread id={thread.id} name={name} onClose={close} onDeleted={onChanged} />
      )}
    </>
  );
}
