import { Link } from "wouter";
import { api } from "../../api/client";
import { sentence } from "../../api/problem";
import { Chip } from "../../parts/Chip";
import { counted, shortId } from "../../parts/format";
import { Icon } from "../../parts/Icon";
import { brief } from "./brief";
import styles from "./form.module.css";

/** A node in short: the question, the recorded answer, and with what it was asked. */
export function NodeCard({ node, onRemove }: { node: string; onRemove: (() => void) | undefined }) {
  const { data, error } = api.useQuery("get", "/api/nodes/{id}", {
    params: { path: { id: node }, query: { limit: 1 } },
  });
  const shown = data && brief(data);
  return (
    <li className={styles.node}>
      <div className={styles.nodeHead}>
        <Link href={`/nodes/${node}`} className="mono" title={node}>
          {shortId(node)}
        </Link>
        {shown && (
          <>
            <Chip title="the model that answered">{shown.model || "no model named"}</Chip>
            <span className="soft">
              {counted(shown.messages, "message")}
              {shown.tools.length > 0 && `, ${counted(shown.tools.length, "tool")}`}
              {shown.answers > 1 && `, ${counted(shown.answers, "answer")} so far`}
            </span>
          </>
        )}
        {onRemove && (
          <button
            type="button"
            className={styles.remove}
            aria-label={`Leave out ${shortId(node)}`}
            onClick={onRemove}
          >
            <Icon name="close" size={12} />
          </button>
        )}
      </div>
      {error ? (
        <p className={styles.problem}>{sentence(error)}</p>
      ) : shown ? (
        <dl className={styles.brief}>
          {shown.system && (
            <div>
              <dt>system</dt>
              <dd dir="auto">{shown.system}</dd>
            </div>
          )}
          <div>
            <dt>{shown.askedBy}</dt>
            <dd dir="auto">{shown.asked}</dd>
          </div>
          <div>
            <dt>answer</dt>
            <dd dir="auto">{shown.answer}</dd>
          </div>
        </dl>
      ) : (
        <p className="soft">…</p>
      )}
    </li>
  );
}
