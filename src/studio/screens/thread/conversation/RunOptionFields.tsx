import { useId } from 'react';
import { Field } from '../../../ui/Field.tsx';
import classes from './Conversation.module.css';
import { STRATEGIES, type RunOptions } from './run-options.ts';

interface RunOptionFieldsProps {
  options: RunOptions;
  onChange: (options: RunOptions) => void;
}

/** How the next run is made: its place beside other runs, and its breakpoints. */
export function RunOptionFields({ options, onChange }: RunOptionFieldsProps) {
  const id = useId();
  const isChanged =
    options.multitaskStrategy !== 'ENQUEUE' ||
    options.stopBefore !== '' ||
    options.stopAfter !== '';
  return (
    <>
      <button type="button" className={classes['optionsButton']} popoverTarget={id}>
        Options{isChanged && <span className={classes['changed']}> · changed</span>}
      </button>
      <div
        id={id}
        popover="auto"
        className={classes['options']}
        role="group"
        aria-label="Options of the run"
      >
        <Field label="While another run executes">
          {(ids) => (
            <select
              {...ids}
              value={options.multitaskStrategy}
              onChange={(event) =>
                onChange({
                  ...options,
                  multitaskStrategy: event.target.value as RunOptions['multitaskStrategy'],
                })
              }
            >
              {Object.entries(STRATEGIES).map(([strategy, words]) => (
                <option key={strategy} value={strategy}>
                  {words}
                </option>
              ))}
            </select>
          )}
        </Field>
        <Field label="Stop before" hint="Names of nodes with commas, or * for each node.">
          {(ids) => (
            <input
              {...ids}
              value={options.stopBefore}
              onChange={(event) => onChange({ ...options, stopBefore: event.target.value })}
            />
          )}
        </Field>
        <Field label="Stop after">
          {(ids) => (
            <input
              {...ids}
              value={options.stopAfter}
              onChange={(event) => onChange({ ...options, stopAfter: event.target.value })}
            />
          )}
        </Field>
      </div>
    </>
  );
}
