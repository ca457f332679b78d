import styles from "./Interval.module.css";
import { signed } from "./number";

type Props = {
  value: number | null;
  low: number | null;
  high: number | null;
  /** How many it is of. */
  n: number;
  /** The ends of the scale that is drawn. */
  from?: number;
  to?: number;
  /** A threshold that is marked on the scale. */
  mark?: number;
  digits?: number;
};

/** A figure with its 95 % interval and what it is of: in numbers, and drawn on a scale. */
export function Interval({ value, low, high, n, from = -1, to = 1, mark, digits = 2 }: Props) {
  if (value === null)
    return (
      <span className={styles.figure}>
        <span className="soft">not defined</span> <small>n {n}</small>
      </span>
    );
  const x = (number: number) => 2 + (96 * (Math.max(from, Math.min(to, number)) - from)) / (to - from);
  return (
    <span className={styles.figure}>
      <span>
        <b>{signed(value, digits)}</b>
        {low !== null && high !== null && (
          <span className="soft">
            {" "}
            [{signed(low, digits)}, {signed(high, digits)}]
          </span>
        )}{" "}
        <small>n {n}</small>
      </span>
      <svg viewBox="0 0 100 10" className={styles.scale} aria-hidden="true">
        <line x1="2" x2="98" y1="5" y2="5" className={styles.axis} />
        {mark !== undefined && <line x1={x(mark)} x2={x(mark)} y1="0" y2="10" className={styles.mark} />}
        {low !== null && high !== null && (
          <line x1={x(low)} x2={x(high)} y1="5" y2="5" className={styles.range} />
        )}
        <circle cx={x(value)} cy="5" r="2.6" className={styles.point} />
      </svg>
    </span>
  );
}
