import { connection } from '../data/connection.ts';
import { session, signOut } from '../data/session.ts';
import { useValue } from '../data/store.ts';
import { useViewer } from '../data/viewer.ts';
import { IconButton } from '../ui/Button.tsx';
import classes from './Frame.module.css';
import { chooseTheme, theme, type Theme } from './theme.ts';

const NEXT: Record<Theme, Theme> = { system: 'light', light: 'dark', dark: 'system' };

interface RailFootProps {
  onOpen: (what: 'palette' | 'keys') => void;
  isApiOpen: boolean;
  onApi: (isOpen: boolean) => void;
}

/** What a person needs at times: the palette, the keys, the API, the theme, the connection, and who they are. */
export function RailFoot({ onOpen, isApiOpen, onApi }: RailFootProps) {
  const chosen = useValue(theme);
  const { credential } = useValue(session);
  const viewer = useViewer();
  return (
    <div className={classes['foot']}>
      <ConnectionState />
      {viewer?.identity && <div className={classes['who']}>{viewer.identity}</div>}
      <div className={classes['tools']}>
        <IconButton icon="search" label="Go to… (Ctrl K)" onClick={() => onOpen('palette')} />
        <IconButton icon="keyboard" label="Keyboard (?)" onClick={() => onOpen('keys')} />
        <IconButton
          icon="api"
          label="API (a)"
          aria-expanded={isApiOpen}
          onClick={() => onApi(!isApiOpen)}
        />
        <IconButton
          icon={chosen}
          label={`Theme: ${chosen}`}
          onClick={() => chooseTheme(NEXT[chosen])}
        />
        {credential && <IconButton icon="leave" label="Sign out" onClick={signOut} />}
      </div>
    </div>
  );
}

const WORDS = {
  live: 'Live',
  connecting: 'Connecting',
  reconnecting: 'Connecting again',
  closed: 'Not connected',
};

function ConnectionState() {
  const { state } = useValue(connection);
  return (
    <div
      role="status"
      title={WORDS[state]}
      className={`${classes['connection']} ${state === 'live' ? classes['live'] : ''}`}
    >
      <span className={classes['dot']} />
      <span className={classes['word']}>{WORDS[state]}</span>
    </div>
  );
}
