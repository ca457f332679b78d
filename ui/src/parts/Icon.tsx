const PATHS = {
  dot: "M8 8h.01",
  menu: "M2 4h12M2 8h12M2 12h12",
  list: "M5 4h9M5 8h9M5 12h9M2 4h.01M2 8h.01M2 12h.01",
  tree: "M8 14V9m0 0C8 6 4 7 4 3m4 6c0-3 4-2 4-6",
  map: "M4 5h.01M11 4h.01M7 8h.01M12 10h.01M5 11h.01M9 12h.01M3 8h.01M9 5h.01",
  replay: "M3 8a5 5 0 1 0 1.6-3.7M3 2v3h3",
  review: "M3 8.5l3 3 7-7",
  judge: "M8 2v12M3 5h10M3 5l-1.5 4h3L3 5zm10 0l-1.5 4h3L13 5zM5 14h6",
  dataset:
    "M3 4c0-1.1 2.2-2 5-2s5 .9 5 2-2.2 2-5 2-5-.9-5-2zm0 0v8c0 1.1 2.2 2 5 2s5-.9 5-2V4M3 8c0 1.1 2.2 2 5 2s5-.9 5-2",
  live: "M8 8h.01M5 11a4 4 0 0 1 0-6m6 0a4 4 0 0 1 0 6M3 13a7 7 0 0 1 0-10m10 0a7 7 0 0 1 0 10",
  theme: "M2 7V3a1 1 0 0 1 1-1h4l7 7-5 5-7-7zM5 5h.01",
  pivot: "M3 8h4m0 0l6-5M7 8l6 5",
  admin:
    "M8 10a2 2 0 1 0 0-4 2 2 0 0 0 0 4zM8 2v2m0 8v2M2 8h2m8 0h2M3.8 3.8l1.4 1.4m5.6 5.6l1.4 1.4m0-8.4l-1.4 1.4M5.2 10.8l-1.4 1.4",
  search: "M7 12A5 5 0 1 0 7 2a5 5 0 0 0 0 10zm4-1l3 3",
  sun: "M8 11a3 3 0 1 0 0-6 3 3 0 0 0 0 6zM8 1v1m0 12v1M1 8h1m12 0h1M3 3l.7.7m8.6 8.6l.7.7m0-10l-.7.7M3.7 12.3L3 13",
  moon: "M13 9.5A5.5 5.5 0 0 1 6.5 3 5.5 5.5 0 1 0 13 9.5z",
  half: "M8 14A6 6 0 1 0 8 2v12z",
  copy: "M6 6h8v8H6zM10 6V2H2v8h4",
  download: "M8 2v8m0 0L5 7m3 3l3-3M2 13h12",
  close: "M3 3l10 10M13 3L3 13",
  plus: "M8 3v10M3 8h10",
  minus: "M3 8h10",
  left: "M10 3L5 8l5 5",
  right: "M6 3l5 5-5 5",
  up: "M3 10l5-5 5 5",
  down: "M3 6l5 5 5-5",
  warning: "M8 2L1.5 14h13L8 2zm0 4v4m0 2h.01",
  filter: "M2 3h12l-4.5 5.5V13l-3-1.5v-3L2 3z",
  external: "M9 2h5v5M14 2L7 9M12 9v5H2V4h5",
  flag: "M3 14V2h9l-2 3 2 3H3",
  key: "M10 9a3.5 3.5 0 1 0-3.3-2.3L2 11.4V14h2.6l.9-1.6 1.6-.3.4-1.7L9 9.2",
  user: "M8 8a3 3 0 1 0 0-6 3 3 0 0 0 0 6zm-6 6c0-3 2.7-4.5 6-4.5s6 1.500 6 4.500",
} as const;

export type IconName = keyof typeof PATHS;

/** A drawing beside a word. It says nothing to screen readers: the word does. */
export function Icon({ name, size = 16 }: { name: IconName; size?: number }) {
  return (
    <svg width={size} height={size} viewBox="0 0 16 16" aria-hidden="true" focusable="false">
      <path
        d={PATHS[name]}
        fill="none"
        stroke="currentColor"
        strokeWidth="1.6"
        strokeLinecap="round"
        strokeLinejoin="round"
      />
    </svg>
  );
}
