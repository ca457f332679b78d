import styles from "./ProgressBar.module.css";

/** How much of something is done. Without a total it only says that work goes on. */
export function ProgressBar({ label, done, total }: { label: string; done: number; total: number | null }) {
  return (
    <div className={styles.bar}>
      <progress aria-label={label} max={total ?? 1} value={total === null ? undefined : done} />
      <span>{total === null ? `${done}` : `${done} of ${total}`}</span>
    </div>
  );
}
