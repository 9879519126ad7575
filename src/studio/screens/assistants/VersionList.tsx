import { Link } from '@tanstack/react-router';
import { Time } from '../../ui/Time.tsx';
import classes from './assistants.module.css';
import type { AssistantVersion } from './documents.ts';
import type { AssistantSearch } from './search.ts';

interface VersionListProps {
  versions: readonly AssistantVersion[];
  active: number;
  selected: number;
  search: AssistantSearch;
}

/** The versions, newest first. The active one is marked: new runs take it. */
export function VersionList({ versions, active, selected, search }: VersionListProps) {
  return (
    <ul className={classes['versions']} aria-label="Versions">
      {versions.map(({ version, name, createdAt }) => (
        <li key={version}>
          <Link
            to="."
            search={{ ...search, version: String(version), vs: undefined }}
            className={classes['version']}
            aria-current={version === selected ? 'true' : undefined}
          >
            <strong>Version {version}</strong>
            {version === active && <span className={classes['active']}>active</span>}
            <span className={classes['when']}>
              <Time value={createdAt} />
            </span>
            <span className={classes['description']}>{name}</span>
          </Link>
        </li>
      ))}
    </ul>
  );
}
