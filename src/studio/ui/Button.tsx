import type { ButtonHTMLAttributes } from 'react';
import classes from './Button.module.css';
import { Icon, type IconName } from './Icon.tsx';

type Look = 'default' | 'primary' | 'plain' | 'danger';

interface ButtonProps extends ButtonHTMLAttributes<HTMLButtonElement> {
  look?: Look;
  icon?: IconName;
  isSmall?: boolean;
}

/** A button with a text. */
export function Button({ look, icon, isSmall, children, className, ...props }: ButtonProps) {
  return (
    <button
      type="button"
      {...props}
      className={buttonClass(
        { look, isSmall },
        children ? className : `${classes['square']} ${className ?? ''}`,
      )}
    >
      {icon && <Icon name={icon} size={isSmall ? 14 : 16} />}
      {children}
    </button>
  );
}

interface IconButtonProps extends Omit<ButtonProps, 'children' | 'aria-label'> {
  icon: IconName;
  /** The name of the button, also shown at the pointer. */
  label: string;
}

/** A button with an icon only. */
export function IconButton({ label, look = 'plain', ...props }: IconButtonProps) {
  return <Button {...props} look={look} aria-label={label} title={label} />;
}

/** The classes of a button, for a link that looks like one. */
export function buttonClass(
  {
    look = 'default',
    isSmall = false,
  }: { look?: Look | undefined; isSmall?: boolean | undefined } = {},
  more = '',
): string {
  return [classes['button'], look !== 'default' && classes[look], isSmall && classes['small'], more]
    .filter(Boolean)
    .join(' ');
}
