import { CopyLink } from "../../parts/CopyLink";
import { Dialog } from "../../parts/Dialog";
import styles from "./admin.module.css";

type Props = { title: string; secret: string; use: string; onClose: () => void };

/** A secret that was just made. It is shown this once. */
export function SecretOnce({ title, secret, use, onClose }: Props) {
  return (
    <Dialog title={title} open={secret !== ""} onClose={onClose}>
      <div className={styles.secret}>
        <p>Keep it now: it is not shown again. {use}</p>
        <code>{secret}</code>
        <CopyLink text={() => secret} label="Copy" />
      </div>
    </Dialog>
  );
}
