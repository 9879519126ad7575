import { useValue } from '../data/store.ts';
import { Dialog } from '../ui/Dialog.tsx';
import classes from './Frame.module.css';
import { PLACES } from './navigation.ts';
import { areShortcutsOn, switchShortcuts } from './shortcuts.ts';

const KEYS: [keys: string, meaning: string][] = [
  ['Ctrl K', 'Go to a place, or to an object by its id'],
  ...PLACES.map(({ keys, name }): [string, string] => [keys, name]),
  ['/', 'Filter the list'],
  ['j, k', 'Next and previous row'],
  ['Enter', 'Open the row'],
  ['n', 'New thread'],
  ['[, ]', 'Previous and next branch at a fork'],
  ['J, K', 'Next and previous checkpoint to compare with'],
  ['d', 'Compare the selected state'],
  ['e', 'Edit the selected state'],
  ['r', 'Run again from the selected state'],
  ['a', 'The operations that the page has sent to the API'],
  ['?', 'This list'],
];

/** The keys of the studio. */
export function Keys({ onClose }: { onClose: () => void }) {
  const isOn = useValue(areShortcutsOn);
  return (
    <Dialog title="Keyboard" onClose={onClose}>
      <dl className={classes['keys']}>
        {KEYS.map(([keys, meaning]) => (
          <div key={keys} style={{ display: 'contents' }}>
            <dt>
              <kbd>{keys}</kbd>
            </dt>
            <dd>{meaning}</dd>
          </div>
        ))}
      </dl>
      <label>
        <input
          type="checkbox"
          checked={isOn}
          onChange={(event) => switchShortcuts(event.target.checked)}
        />
        Single keys are shortcuts
      </label>
    </Dialog>
  );
}
