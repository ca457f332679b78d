import { Button } from "../../parts/Button";
import { Icon } from "../../parts/Icon";
import { type Desk, type Entry, troubled } from "./desk";
import styles from "./Notices.module.css";

type Props = {
  desk: Desk;
  shown: Entry | undefined;
  notice: string;
  onDismiss: () => void;
  onRetry: () => void;
  onGo: (lease: string) => void;
};

/** What went wrong, until it is mended: answers that are not saved, holds that ran out. */
export function Notices({ desk, shown, notice, onDismiss, onRetry, onGo }: Props) {
  const trouble = troubled(desk);
  const unsaved = trouble.filter((entry) => entry.phase === "unsaved");
  const refused = trouble.filter((entry) => entry.phase === "refused");
  return (
    <div aria-live="polite" className={styles.notices}>
      {unsaved.length > 0 && (
        <p className={styles.bad}>
          <Icon name="warning" />
          <span>
            <b>
              {unsaved.length === 1
                ? "1 answer could not be saved"
                : `${unsaved.length} answers could not be saved`}
            </b>{" "}
            and {unsaved.length === 1 ? "is" : "are"} kept in this browser: {unsaved[0]?.problem} It is tried
            again by itself.
          </span>
          <Button onClick={onRetry}>Try now</Button>
        </p>
      )}
      {refused.map((entry) => (
        <p key={entry.item.lease_id} className={styles.bad}>
          <Icon name="warning" />
          <span>
            <b>An answer was refused.</b> {entry.problem} Your answer is kept.
          </span>
          {entry !== shown && <Button onClick={() => onGo(entry.item.lease_id)}>Go to it</Button>}
        </p>
      ))}
      {shown?.lost && shown.phase === "open" && (
        <p className={styles.warn}>
          <Icon name="warning" />
          <span>
            <b>Your claim on this item expired:</b> it was open for too long. Others may get it. An answer
            still counts.
          </span>
        </p>
      )}
      {shown?.again && shown.phase === "open" && (
        <p className={styles.warn}>
          <Icon name="warning" />
          <span>
            <b>You got this item again</b> because your claim on it had expired.
            {shown.again === "turned" && " A and B changed places, and your answer with them."}
          </span>
        </p>
      )}
      {notice && (
        <p className={styles.warn}>
          <Icon name="warning" />
          <span>{notice}</span>
          <Button kind="quiet" icon="close" aria-label="Dismiss" onClick={onDismiss} />
        </p>
      )}
    </div>
  );
}
