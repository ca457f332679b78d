import { Message } from "../../parts/Message";
import styles from "./ItemView.module.css";

/** What was said before: all of it from the root on, or from the last question on with how many came before it. */
export function Path({ history, whole }: { history: readonly unknown[]; whole: boolean }) {
  const shown = whole ? history : history.slice(lastQuestion(history));
  const before = history.length - shown.length;
  return (
    <div className={styles.path}>
      {before > 0 && (
        <p className={styles.before}>{before === 1 ? "1 message" : `${before} messages`} before this one</p>
      )}
      {shown.map((message, index) => (
        <Message key={before + index} message={message} />
      ))}
      {history.length === 0 && <p className="soft">The conversation begins with the answer.</p>}
    </div>
  );
}

function lastQuestion(history: readonly unknown[]): number {
  const last = history.findLastIndex((message) => (message as { role?: unknown } | null)?.role === "user");
  return Math.max(0, last);
}
