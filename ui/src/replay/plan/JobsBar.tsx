import { count } from "../../parts/format";
import styles from "./JobsBar.module.css";
import type { Counts } from "./state";

/** Jobs that are done, that failed, and that are left, in a bar with the figures beside it. */
export function JobsBar({ done, failed, left, jobs, wide = false }: Counts & { wide?: boolean }) {
  const words = [
    `${count(done)} of ${count(jobs)} done`,
    ...(failed > 0 ? [`${count(failed)} failed`] : []),
    ...(left > 0 ? [`${count(left)} left`] : []),
  ].join(", ");
  const share = (part: number) => (jobs > 0 ? (part / jobs) * 100 : 0);
  return (
    <div className={wide ? `${styles.bar} ${styles.wide}` : styles.bar}>
      <svg viewBox="0 0 100 8" preserveAspectRatio="none" role="img" aria-label={words}>
        <rect className={styles.ground} width="100" height="8" />
        <rect className={styles.done} width={share(done)} height="8" />
        <rect className={styles.failed} x={share(done)} width={share(failed)} height="8" />
      </svg>
      <span title={words}>
        {count(done)} / {count(jobs)}
        {failed > 0 && <b className={styles.bad}> {count(failed)} failed</b>}
      </span>
    </div>
  );
}
