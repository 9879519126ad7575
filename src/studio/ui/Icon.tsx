/** The outlines of the icons, in a square of 24, drawn with strokes. */
const PATHS = {
  threads: 'M4 5h16v10H9l-5 4z',
  inbox: 'M3 13l3-8h12l3 8v6H3zm0 0h5l2 3h4l2-3h5',
  runs: 'M6 4l14 8-14 8z',
  assistants:
    'M12 4v3M6 7h12a2 2 0 0 1 2 2v9a2 2 0 0 1-2 2H6a2 2 0 0 1-2-2V9a2 2 0 0 1 2-2zM9 12v2M15 12v2',
  graphs: 'M5 3h4v4H5zM15 17h4v4h-4zM15 3h4v4h-4zM9 5h6M7 7v8a4 4 0 0 0 4 4h4',
  api: 'M8 8l-5 4 5 4M16 8l5 4-5 4M14 5l-4 14',
  check: 'M5 12.5l4.5 4.5L19 7.5',
  close: 'M6 6l12 12M18 6L6 18',
  plus: 'M12 5v14M5 12h14',
  minus: 'M5 12h14',
  search: 'M11 4a7 7 0 1 0 0 14 7 7 0 0 0 0-14zM16 16l5 5',
  copy: 'M9 9h11v11H9zM5 15H4V4h11v1',
  trash: 'M4 7h16M9 7V4h6v3M6 7l1 13h10l1-13M10 11v5M14 11v5',
  edit: 'M4 20l1-5L16 4l4 4L9 19z',
  fork: 'M7 4v9a4 4 0 0 0 4 4h6M7 4a2 2 0 1 0 0 .1M17 17l-3-3M17 17l-3 3M7 13V20',
  stop: 'M6 6h12v12H6z',
  send: 'M4 12L20 4l-5 16-3-7z',
  question: 'M9 9a3 3 0 1 1 4 3c-1 .5-1 1-1 2M12 18v.1M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18z',
  error: 'M12 3l9.5 17h-19zM12 10v4M12 17v.1',
  clock: 'M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM12 7v5l3 2',
  spinner: 'M12 3a9 9 0 1 0 9 9',
  refresh: 'M20 11a8 8 0 1 0-2 6M20 5v6h-6',
  menu: 'M5 12h.1M12 12h.1M19 12h.1',
  up: 'M6 15l6-6 6 6',
  down: 'M6 9l6 6 6-6',
  left: 'M15 6l-6 6 6 6',
  right: 'M9 6l6 6-6 6',
  person: 'M12 4a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM4 21c1-5 4-6 8-6s7 1 8 6',
  tool: 'M14 6a4 4 0 0 1 5-2l-3 3 1 1 3-3a4 4 0 0 1-5 5l-8 9-3-3 9-8a4 4 0 0 1 1-2z',
  light:
    'M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM12 2v3M12 19v3M2 12h3M19 12h3M5 5l2 2M17 17l2 2M19 5l-2 2M7 17l-2 2',
  dark: 'M20 14A8 8 0 0 1 10 4a8 8 0 1 0 10 10z',
  system: 'M3 5h18v11H3zM9 20h6M12 16v4',
  link: 'M10 14a4 4 0 0 0 6 0l3-3a4 4 0 0 0-6-6l-1 1M14 10a4 4 0 0 0-6 0l-3 3a4 4 0 0 0 6 6l1-1',
  out: 'M14 4h6v6M20 4l-9 9M18 13v7H4V6h7',
  play: 'M7 5l12 7-12 7z',
  pause: 'M8 5v14M16 5v14',
  keyboard: 'M3 6h18v12H3zM7 10h.1M11 10h.1M15 10h.1M7 14h10',
  leave: 'M10 4H4v16h6M9 12h12M17 8l4 4-4 4',
  lock: 'M5 11h14v9H5zM8 11V8a4 4 0 0 1 8 0v3',
  expand: 'M4 9V4h5M20 9V4h-5M4 15v5h5M20 15v5h-5',
  compare: 'M8 4v16M16 4v16M8 8H4M8 12H4M16 12h4M16 16h4',
} as const;

export type IconName = keyof typeof PATHS;

/** A picture beside a word, or inside of a button with a name: readers of the screen skip it. */
export function Icon({ name, size = 16 }: { name: IconName; size?: number }) {
  return (
    <svg
      width={size}
      height={size}
      viewBox="0 0 24 24"
      fill="none"
      stroke="currentColor"
      strokeWidth={name === 'menu' ? 3 : 1.8}
      strokeLinecap="round"
      strokeLinejoin="round"
      aria-hidden="true"
      focusable="false"
    >
      <path d={PATHS[name]} />
    </svg>
  );
}
