import { Link } from "wouter";
import type { Schema } from "../../api/client";
import { Chip } from "../../parts/Chip";
import { count, figure } from "../../parts/format";
import styles from "./ExampleRows.module.css";

/** The best rows of a preview, in short, each with the nodes that it would be made from. */
export function ExampleRows({ rows }: { rows: readonly Schema["PreviewRow"][] }) {
  if (rows.length === 0) return <p className="soft">There is none.</p>;
  return (
    <ul className={styles.rows}>
      {rows.map((row) => (
        <li key={row.row_id}>
          <div className={styles.head}>
            <span>
              score <b>{figure(row.score)}</b>
            </span>
            <span className="soft">by {row.label_source || "none"}</span>
            <Chip>{row.split}</Chip>
            {row.label && (
              <Chip tone={row.label === "true" || row.label === "retain" ? "good" : "bad"}>{row.label}</Chip>
            )}
            {row.negative && <Chip tone="warn">{row.negative}</Chip>}
            <span className={styles.links}>
              {row.sources.map((source) => (
                <Link key={source.part} href={`/sessions/${source.session_id}?node=${source.node_id}`}>
                  {source.part}
                </Link>
              ))}
            </span>
          </div>
          <ol className={styles.messages}>
            {shortened(row.messages).map((message, index) =>
              message === null ? (
                <li key={index} className="soft">
                  … {count(row.messages.length - 3)} more messages …
                </li>
              ) : (
                <li key={index}>
                  <span className={styles.role}>{message.role}</span>
                  <span className={styles.text}>
                    {message.text || <i className="soft">{message.calls} calls of tools</i>}
                  </span>
                </li>
              ),
            )}
          </ol>
        </li>
      ))}
    </ul>
  );
}

/** The first and the last messages, null for what is between. */
function shortened<Message>(messages: readonly Message[]): (Message | null)[] {
  if (messages.length <= 4) return [...messages];
  return [...messages.slice(0, 1), null, ...messages.slice(-2)];
}
