import { Chip } from "../../parts/Chip";
import type { Standing } from "./judges";
import styles from "./judges.module.css";

const MARKS = {
  calibrated: ["good", "✓ calibrated"],
  uncalibrated: ["bad", "✕ uncalibrated"],
  stale: ["warn", "↻ outdated"],
  people: ["plain", "people"],
} as const;

/** Whether a judge is calibrated, and why not. */
export function StandingMark({ standing }: { standing: Standing }) {
  const [tone, text] = MARKS[standing.kind];
  return (
    <span className={styles.standing} title={standing.why}>
      <Chip tone={tone}>{text}</Chip>
      {standing.why && <small className="soft">{standing.why}</small>}
    </span>
  );
}
