import type { ThreadMessage, ThreadToolCall } from '../../../../client/types.ts';
import { Icon } from '../../../ui/Icon.tsx';
import { showJson } from '../../../ui/json/parse.ts';
import { shorten } from '../../../ui/shorten.ts';
import classes from './Conversation.module.css';

interface ToolCallProps {
  call: ThreadToolCall;
  result: ThreadMessage | undefined;
}

const LONGEST_SHOWN = 20_000;

/** A call of a tool with its arguments, as they grow, and its result. */
export function ToolCall({ call, result }: ToolCallProps) {
  const args = call.args === undefined ? (call.argsText ?? '') : showJson(call.args);
  return (
    <details className={classes['call']} open={!result}>
      <summary>
        <Icon name="tool" size={14} />
        <code>{call.name || 'tool'}</code>
        <span className={classes['hint']}>
          {result ? shorten(result.text, 80) : 'no result yet'}
        </span>
      </summary>
      {args && args !== '{}' && (
        <pre tabIndex={0} aria-label="Arguments">
          {shorten(args, LONGEST_SHOWN)}
        </pre>
      )}
      {result && (
        <pre tabIndex={0} aria-label="Result" className={classes['result']}>
          {shorten(result.text, LONGEST_SHOWN)}
        </pre>
      )}
    </details>
  );
}
