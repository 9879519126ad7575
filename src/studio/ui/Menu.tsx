import { useId, useRef, type KeyboardEvent } from 'react';
import { IconButton } from './Button.tsx';
import { Icon, type IconName } from './Icon.tsx';
import classes from './Menu.module.css';

export interface MenuItem {
  label: string;
  icon?: IconName;
  isDangerous?: boolean;
  isDisabled?: boolean;
  onSelect: () => void;
}

interface MenuProps {
  /** The name of the button. */
  label: string;
  icon?: IconName;
  items: MenuItem[];
}

/** A button that opens a list of actions. The arrow keys move in it. */
export function Menu({ label, icon = 'menu', items }: MenuProps) {
  const id = useId();
  const list = useRef<HTMLDivElement>(null);
  const button = useRef<HTMLSpanElement>(null);

  function place(): void {
    const from = button.current?.getBoundingClientRect();
    const menu = list.current;
    if (!from || !menu) return;
    const { offsetWidth: width, offsetHeight: height } = menu;
    const isBelow = from.bottom + height + 12 < innerHeight;
    menu.style.left = `${Math.max(8, Math.min(from.right - width, innerWidth - width - 8)) + scrollX}px`;
    menu.style.top = `${(isBelow ? from.bottom : from.top - height - 8) + scrollY}px`;
    menu.querySelector('button')?.focus();
  }

  function move(event: KeyboardEvent): void {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    const buttons = [...(list.current?.querySelectorAll('button') ?? [])];
    const at = buttons.indexOf(document.activeElement as HTMLButtonElement);
    buttons.at((at + step) % buttons.length)?.focus();
  }

  return (
    <>
      <span ref={button}>
        <IconButton icon={icon} label={label} popoverTarget={id} aria-haspopup="menu" />
      </span>
      <div
        ref={list}
        id={id}
        popover="auto"
        role="menu"
        aria-label={label}
        className={classes['menu']}
        onKeyDown={move}
        onToggle={(event) => event.newState === 'open' && place()}
      >
        {items.map(({ label: text, icon: picture, isDangerous, isDisabled, onSelect }) => (
          <button
            key={text}
            type="button"
            role="menuitem"
            disabled={isDisabled}
            className={`${classes['item']} ${isDangerous ? classes['danger'] : ''}`}
            onClick={() => {
              list.current?.hidePopover();
              onSelect();
            }}
          >
            {picture && <Icon name={picture} />}
            {text}
          </button>
        ))}
      </div>
    </>
  );
}
