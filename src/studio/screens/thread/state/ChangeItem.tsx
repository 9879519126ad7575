import { Icon, type IconName } from '../../../ui/Icon.tsx';
import { LongText, textOf } from '../../../ui/json/JsonValue.tsx';
import { namesOf } from '../../../ui/json/tree.ts';
import type { Change } from './difference.ts';
import classes from './State.module.css';

const KINDS: Record<Change['kind'], { word: string; icon: IconName }> = {
  added: { word: 'Added', icon: 'plus' },
  removed: { word: 'Removed', icon: 'minus' },
  changed: { word: 'Changed', icon: 'edit' },
  moved: { word: 'Moved', icon: 'right' },
};

const SHOWN = 1000;

/** A changed value with its path, before and after. */
export function ChangeItem({ change }: { change: Change }) {
  const { kind, pointer, before, after } = change;
  const { word, icon } = KINDS[kind];
  const path = namesOf(pointer).join(' › ');
  return (
    <li className={classes['change']} data-kind={kind}>
      <span className={classes['changeHead']}>
        <Icon name={icon} size={13} />
        {word} <code>{path}</code>
        {kind === 'moved' && (
          <span className={classes['soft']}>
            from place {Number(before) + 1} to place {Number(after) + 1}
          </span>
        )}
      </span>
      {kind !== 'moved' && (
        <div className={classes['sides']} data-both={kind === 'changed'}>
          {'before' in change && (
            <div className={classes['before']}>
              <LongText label={`${path}, before`} text={textOf(before)} shown={SHOWN} />
            </div>
          )}
          {'after' in change && (
            <div className={classes['after']}>
              <LongText label={`${path}, after`} text={textOf(after)} shown={SHOWN} />
            </div>
          )}
        </div>
      )}
    </li>
  );
}
