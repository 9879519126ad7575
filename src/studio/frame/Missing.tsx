import { Link } from '@tanstack/react-router';
import { Empty } from '../ui/Notes.tsx';

/** Stands at a URL without a screen. */
export function Missing() {
  return (
    <Empty icon="search" title="There is no such page">
      <p>
        The address may be old. <Link to="/threads">Go to the threads.</Link>
      </p>
    </Empty>
  );
}
