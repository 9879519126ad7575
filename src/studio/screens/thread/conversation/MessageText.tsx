import { lazy, Suspense, useState } from 'react';
import type { ThreadMessage } from '../../../../client/types.ts';
import { Button } from '../../../ui/Button.tsx';
import classes from './Conversation.module.css';

const Markdown = lazy(async () => ({
  default: (await import('../../../ui/Markdown.tsx')).Markdown,
}));

/** A text of megabytes would take the browser seconds. */
const LONGEST_SHOWN = 20_000;
const LONGEST_FORMATTED = 100_000;

/** The text of a message: of an assistant as Markdown, of others as it is. Images are shown from the message itself only. */
export function MessageText({ message }: { message: ThreadMessage }) {
  const [isWhole, setWhole] = useState(false);
  const { type, content } = message;
  const isLong = message.text.length > LONGEST_SHOWN;
  const text = isWhole || !isLong ? message.text : message.text.slice(0, LONGEST_SHOWN);
  const plain = <div className={classes['plain']}>{text}</div>;
  const isFormatted = type === 'AI' && text.length < LONGEST_FORMATTED;
  return (
    <>
      {imagesOf(content).map((url) => (
        <img key={url} src={url} alt="Attached to the message" className={classes['image']} />
      ))}
      {text &&
        (isFormatted ? (
          <Suspense fallback={plain}>
            <Markdown text={text} />
          </Suspense>
        ) : (
          plain
        ))}
      {isLong && !isWhole && (
        <Button isSmall onClick={() => setWhole(true)}>
          Show all {message.text.length.toLocaleString('en')} characters
        </Button>
      )}
    </>
  );
}

/** The images in the blocks of a message, as data URLs. */
function imagesOf(content: unknown): string[] {
  if (!Array.isArray(content)) return [];
  return content.flatMap((block: { image_url?: string | { url?: string } } | null) => {
    const image = block?.image_url;
    const url = typeof image === 'string' ? image : image?.url;
    return url?.startsWith('data:image/') ? [url] : [];
  });
}
