import { count } from "../parts/format";
import styles from "./Bars.module.css";

export type Bar = { key: string; label: string; value: number; title?: string };

type Props = {
  label: string;
  bars: readonly Bar[];
  /** What a whole bar is; the longest where it is not given. */
  of?: number;
  tone?: "accent" | "bad" | "plain";
  /** The bars can be chosen, one at a time. */
  selected?: string;
  onSelect?: (key: string) => void;
};

/** Counts by name as bars, with their figures. */
export function Bars({ label, bars, of, tone = "accent", selected, onSelect }: Props) {
  const whole = of ?? Math.max(1, ...bars.map((bar) => bar.value));
  return (
    <ul className={styles.bars} aria-label={label}>
      {bars.map((bar) => {
        const inside = (
          <>
            <span className={styles.label}>{bar.label}</span>
            <span className={styles.count}>{count(bar.value)}</span>
            <span className={styles.track} aria-hidden="true">
              <span
                className={styles[tone]}
                style={{ width: `${Math.max(1, (bar.value / whole) * 100)}%` }}
              />
            </span>
          </>
        );
        return (
          <li key={bar.key} title={bar.title}>
            {onSelect ? (
              <button
                type="button"
                className={styles.row}
                aria-expanded={selected === bar.key}
                onClick={() => onSelect(selected === bar.key ? "" : bar.key)}
              >
                {inside}
              </button>
            ) : (
              <div className={styles.row}>{inside}</div>
            )}
          </li>
        );
      })}
    </ul>
  );
}
