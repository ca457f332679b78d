import styles from "./states.module.css";

/** Says that something is on its way. Appears after a moment, so that fast answers do not flicker. */
export function Loading({ what }: { what: string }) {
  return (
    <p role="status" className={styles.loading}>
      Loading the {what} …
    </p>
  );
}
