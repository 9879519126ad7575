import { useEffect, useState } from 'react';
import { IconButton } from './Button.tsx';

const SHOWN_MS = 1500;

/** Copies a text, and shows for a moment that it did. */
export function CopyButton({ text, label }: { text: string | (() => string); label: string }) {
  const [isCopied, setCopied] = useState(false);
  useEffect(() => {
    if (!isCopied) return undefined;
    const timer = setTimeout(() => setCopied(false), SHOWN_MS);
    return () => clearTimeout(timer);
  }, [isCopied]);

  async function copy(): Promise<void> {
    await navigator.clipboard.writeText(typeof text === 'string' ? text : text());
    setCopied(true);
  }

  return (
    <IconButton
      icon={isCopied ? 'check' : 'copy'}
      label={isCopied ? 'Copied' : label}
      isSmall
      onClick={() => void copy()}
    />
  );
}
