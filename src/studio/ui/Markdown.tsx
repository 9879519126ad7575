import ReactMarkdown, { type Components } from 'react-markdown';
import remarkGfm from 'remark-gfm';
import classes from './Markdown.module.css';

/**
 * HTML in the text stays text. A link opens in a new tab. An image of another address is a link: loading it would tell its host who
 * reads the message.
 */
const COMPONENTS: Components = {
  a: ({ href, children }) => (
    <a href={href} target="_blank" rel="noreferrer noopener">
      {children}
    </a>
  ),
  img: ({ src, alt }) => (
    <a href={String(src)} target="_blank" rel="noreferrer noopener">
      {alt || 'Image'}
    </a>
  ),
  table: ({ children }) => (
    <div className={classes['table']} tabIndex={0} role="region" aria-label="Table">
      <table>{children}</table>
    </div>
  ),
  pre: ({ children }) => <pre tabIndex={0}>{children}</pre>,
  // The page has its own headings.
  h1: ({ children }) => <p className={classes['heading']}>{children}</p>,
  h2: ({ children }) => <p className={classes['heading']}>{children}</p>,
  h3: ({ children }) => <p className={classes['heading']}>{children}</p>,
};

/** A text with Markdown, as a model writes it. */
export function Markdown({ text }: { text: string }) {
  return (
    <div className={classes['markdown']}>
      <ReactMarkdown remarkPlugins={[remarkGfm]} components={COMPONENTS}>
        {text}
      </ReactMarkdown>
    </div>
  );
}
