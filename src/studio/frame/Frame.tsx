import { Link, Outlet, useNavigate, useRouterState } from '@tanstack/react-router';
import { lazy, Suspense, useEffect, useRef, useState } from 'react';
import icon from '../icon.svg';
import { useOpenQuestions } from '../data/questions.ts';
import { Icon } from '../ui/Icon.tsx';
import classes from './Frame.module.css';
import { Keys } from './Keys.tsx';
import { PLACES } from './navigation.ts';
import { Palette } from './Palette.tsx';
import { RailFoot } from './RailFoot.tsx';
import { useShortcuts } from './shortcuts.ts';
import { SignIn } from './SignIn.tsx';

const ApiDrawer = lazy(async () => ({ default: (await import('./ApiDrawer.tsx')).ApiDrawer }));

/** The rail with the places, beside the screen. */
export function Frame() {
  const [open, setOpen] = useState<'palette' | 'keys' | undefined>(undefined);
  const [isApiOpen, setApiOpen] = useState(false);
  const navigate = useNavigate();
  const main = useRef<HTMLElement>(null);
  const close = () => setOpen(undefined);
  useShortcuts({
    '?': () => setOpen('keys'),
    a: () => setApiOpen(!isApiOpen),
    ...Object.fromEntries(
      PLACES.map(({ keys, path }) => [keys, () => void navigate({ to: path })]),
    ),
  });
  useEffect(() => {
    function onKeyDown(event: KeyboardEvent): void {
      if (event.key !== 'k' || !(event.ctrlKey || event.metaKey)) return;
      event.preventDefault();
      setOpen('palette');
    }
    addEventListener('keydown', onKeyDown);
    return () => removeEventListener('keydown', onKeyDown);
  }, []);

  return (
    <div className={classes['frame']} data-api={isApiOpen}>
      <a className={classes['skip']} href="#main" onClick={() => main.current?.focus()}>
        Skip to the screen
      </a>
      <nav className={classes['rail']} aria-label="Places">
        <Link to="/threads" className={classes['brand']}>
          <img src={icon} alt="" width={24} height={24} />
          <span>threadql</span>
        </Link>
        <Places />
        <RailFoot onOpen={setOpen} isApiOpen={isApiOpen} onApi={setApiOpen} />
      </nav>
      <main ref={main} id="main" className={classes['main']} tabIndex={-1}>
        <Outlet />
      </main>
      {isApiOpen && (
        <Suspense>
          <ApiDrawer onClose={() => setApiOpen(false)} />
        </Suspense>
      )}
      {open === 'palette' && <Palette onClose={close} />}
      {open === 'keys' && <Keys onClose={close} />}
      <SignIn />
    </div>
  );
}

function Places() {
  const questions = useOpenQuestions();
  const path = useRouterState({ select: ({ location }) => location.pathname });
  return (
    <ul className={classes['places']}>
      {PLACES.map((place) => (
        <li key={place.path}>
          <Link
            to={place.path}
            className={classes['place']}
            aria-current={path.startsWith(place.path) ? 'page' : undefined}
            title={`${place.name} (${place.keys})`}
          >
            <Icon name={place.icon} size={18} />
            <span className={classes['word']}>{place.name}</span>
            {'counts' in place && questions > 0 && (
              <span className={classes['count']}>
                {questions}
                <span className="visually-hidden"> open questions</span>
              </span>
            )}
          </Link>
        </li>
      ))}
    </ul>
  );
}
