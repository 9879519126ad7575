/** The name of a thread: the title in its metadata, or the beginning of its conversation. */
export function titleOf(thread: {
  metadata: Record<string, unknown>;
  preview: { title: string | null } | null;
}): string | undefined {
  const { title } = thread.metadata;
  return (typeof title === 'string' && title) || thread.preview?.title || undefined;
}
