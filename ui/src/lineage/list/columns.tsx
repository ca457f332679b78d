import type { Schema } from "../../api/client";
import { Chip } from "../../parts/Chip";
import type { Column } from "../../parts/DataTable";
import { count, counted, figure, shortId } from "../../parts/format";
import { KindMark } from "../../parts/KindMark";
import { Time } from "../../parts/Time";
import styles from "./list.module.css";

export type Session = Schema["Session"];

/** A column that can be chosen; `label` is its name where the head is not a word. */
export type Choice = Column<Session> & { label: string; sort?: string };

export const COLUMNS: readonly Choice[] = [
  { key: "opening", label: "Opening", head: "Opening", cell: (row) => <Opening row={row} /> },
  {
    key: "name",
    label: "Name",
    head: "Name",
    width: "12rem",
    cell: (row) => row.external_id && <span title={row.external_id}>{row.external_id}</span>,
  },
  {
    key: "theme",
    label: "Theme",
    head: "Theme",
    width: "6.25rem",
    cell: (row) => row.theme && <span title={row.theme}>{row.theme}</span>,
  },
  number("turns", "Turns", "4.25rem", (row) => count(row.turns), true),
  number("nodes", "Nodes", "4.5rem", (row) => count(row.nodes)),
  {
    key: "kinds",
    label: "Branches",
    head: "Branches",
    width: "6rem",
    cell: (row) => (
      <span className={styles.marks}>
        {row.kinds.map((kind) => (
          <KindMark key={kind} kind={kind} bare />
        ))}
      </span>
    ),
  },
  number("replays", "Replays", "5.25rem", (row) => (row.replays ? count(row.replays) : <Nothing />)),
  number(
    "errors",
    "Errors",
    "4.75rem",
    (row) => (row.errors ? <Chip tone="bad">{count(row.errors)}</Chip> : <Nothing />),
    true,
  ),
  number("reward", "Outcome", "5.75rem", (row) => <Outcome row={row} />, true),
  {
    key: "models",
    label: "Models",
    head: "Models",
    width: "11rem",
    cell: (row) => {
      const names = row.models.filter(Boolean).join(", ");
      return <span title={names}>{names}</span>;
    },
  },
  {
    key: "purposes",
    label: "Purposes",
    head: "Purposes",
    width: "9rem",
    cell: (row) => row.purposes.join(", "),
  },
  {
    key: "started",
    label: "Started",
    head: "Started",
    width: "8rem",
    sortable: true,
    cell: (row) => <Time at={row.started_at} />,
  },
  {
    key: "recent",
    label: "Last turn",
    head: "Last turn",
    width: "8.4rem",
    sortable: true,
    cell: (row) => <Time at={row.last_turn_at} />,
  },
  {
    key: "id",
    label: "Id",
    head: "Id",
    width: "6rem",
    cell: (row) => <code title={row.session_id}>{shortId(row.session_id)}</code>,
  },
];

export const USUAL = [
  "opening",
  "theme",
  "turns",
  "kinds",
  "replays",
  "errors",
  "reward",
  "models",
  "recent",
];
export const FEWER = ["opening", "theme", "turns", "kinds", "reward", "recent"];

/** On a phone: two lines, what was asked above its figures. */
export const NARROW: readonly Choice[] = [
  { key: "opening", label: "Opening", head: "Opening", cell: (row) => <TwoLines row={row} /> },
  {
    key: "recent",
    label: "Last turn",
    head: "Last turn",
    width: "8.4rem",
    sortable: true,
    cell: (row) => <Time at={row.last_turn_at} />,
  },
];

/** CSS width that the columns need, with room for words in the first one. */
export function widthOf(columns: readonly Choice[]): string {
  const known = columns.reduce((sum, column) => sum + Number.parseFloat(column.width ?? "14"), 0);
  return `${known}rem`;
}

function number(key: string, label: string, width: string, cell: Choice["cell"], sortable = false): Choice {
  return { key, label, head: label, width, align: "end", sortable, cell };
}

function Opening({ row }: { row: Session }) {
  const said = row.opening?.trim();
  return (
    <span className={styles.opening} title={said ?? undefined}>
      {said ? (
        <span dir="auto">{said}</span>
      ) : (
        <span className="soft">{row.external_id ?? row.opening_role ?? "no words"}</span>
      )}
    </span>
  );
}

function TwoLines({ row }: { row: Session }) {
  const about = [row.theme, counted(row.turns, "turn"), row.errors ? counted(row.errors, "error") : ""];
  return (
    <span className={styles.lines}>
      <Opening row={row} />
      <small className="soft">{about.filter(Boolean).join(" · ")}</small>
    </span>
  );
}

function Outcome({ row }: { row: Session }) {
  const value = row.reward;
  if (value === null) return <Nothing />;
  const tone = value >= 0.75 ? "good" : value <= 0.25 ? "bad" : "warn";
  return (
    <Chip tone={tone} title={row.reward_source ? `from ${row.reward_source}` : undefined}>
      {figure(value)}
    </Chip>
  );
}

function Nothing() {
  return (
    <span className={styles.nothing}>
      <span aria-hidden="true">·</span>
      <span className="visually-hidden">none</span>
    </span>
  );
}
