import { KindMark } from "../../parts/KindMark";
import styles from "./Legend.module.css";

type Props = { kinds: readonly string[] };

/** What the marks of the picture mean: kinds that are in the tree, and what is drawn around a mark. */
export function Legend({ kinds }: Props) {
  return (
    <div className={styles.legend}>
      {kinds.map((kind) => (
        <KindMark key={kind} kind={kind} />
      ))}
      <Sign label="Replay (hollow)" draw="M7 7m-4.2 0a4.2 4.2 0 1 0 8.4 0a4.2 4.2 0 1 0 -8.4 0" />
      <Sign label="Run of turns" draw="M4 3.5h6a3.5 3.5 0 0 1 0 7h-6a3.5 3.5 0 0 1 0-7z" />
      <Sign label="Error" draw="M2 2l10 10M12 2L2 12" tone="bad" />
      <Sign label="Stale" draw="M7 1.5a5.5 5.5 0 1 0 .01 0" tone="warn" dashed />
      <Sign label="Pivot" draw="M7 1L13 7L7 13L1 7Z" tone="info" />
      <Sign label="Linked session" draw="M5 3h6v6z" solid />
      <Sign label="Outcome" draw="M5.5 1.5h3v11h-3zM5.5 7h3" tone="good" />
      <Sign label="Fidelity" draw="M1 6h12v2.5H1z" tone="info" />
    </div>
  );
}

type SignProps = { label: string; draw: string; tone?: string; dashed?: boolean; solid?: boolean };

function Sign({ label, draw, tone = "text-soft", dashed = false, solid = false }: SignProps) {
  const colour = `var(--${tone})`;
  return (
    <span className={styles.sign}>
      <svg width="14" height="14" viewBox="0 0 14 14" aria-hidden="true">
        <path
          d={draw}
          fill={solid ? colour : "none"}
          stroke={colour}
          strokeWidth="1.5"
          strokeDasharray={dashed ? "2.5 2" : undefined}
        />
      </svg>
      {label}
    </span>
  );
}
