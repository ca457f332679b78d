import { useState } from "react";
import { Button } from "../../parts/Button";
import { counted } from "../../parts/format";
import { Message } from "../../parts/Message";
import styles from "./TurnPanel.module.css";

const LAST = 2;
const AT_A_TIME = 50;

/** What was said before an answer: the last messages, and earlier ones some at a time. */
export function History({ messages }: { messages: unknown }) {
  const all = Array.isArray(messages) ? messages : [];
  const [more, setMore] = useState(0);
  const from = Math.max(all.length - LAST - more, 0);
  return (
    <section className={styles.stack}>
      <div className={styles.section}>
        <h2>Asked</h2>
        <span className="soft">{counted(all.length, "message")}</span>
      </div>
      {from > 0 && (
        <div className={styles.runs}>
          <Button onClick={() => setMore(more + AT_A_TIME)}>
            Show {counted(Math.min(from, AT_A_TIME), "earlier message")}
          </Button>
          {from > AT_A_TIME && <Button onClick={() => setMore(all.length)}>All {all.length}</Button>}
        </div>
      )}
      {all.slice(from).map((message, index) => (
        <Message key={from + index} message={message} />
      ))}
    </section>
  );
}
