import { useState } from "react";
import { api, type Schema } from "../../api/client";
import { sentence } from "../../api/problem";
import { Button } from "../../parts/Button";
import { Dialog } from "../../parts/Dialog";
import { Field } from "../../parts/Field";
import styles from "../dialogs.module.css";

type Props = {
  open: boolean;
  onClose: () => void;
  snapshot: Schema["SnapshotDetail"];
  onDone: () => void;
};

/** Withdraws a dataset, with a reason; its files can go with it. */
export function WithdrawDialog({ open, onClose, snapshot, onDone }: Props) {
  const [reason, setReason] = useState("");
  const [files, setFiles] = useState(false);
  const withdraw = api.useMutation("post", "/api/snapshots/{id}/withdraw", { onSuccess: onDone });
  return (
    <Dialog
      title="Withdraw this dataset"
      open={open}
      onClose={onClose}
      actions={
        <>
          <Button onClick={onClose}>Keep it</Button>
          <Button
            kind="danger"
            busy={withdraw.isPending}
            disabled={!reason.trim()}
            onClick={() =>
              withdraw.mutate({ params: { path: { id: snapshot.snapshot_id } }, body: { reason, files } })
            }
          >
            Withdraw
          </Button>
        </>
      }
    >
      <div className={styles.content}>
        <p>
          {snapshot.snapshot_id} can no longer be verified, exported or trained on. It stays in the list, with
          your reason. This cannot be undone.
        </p>
        <Field label="Reason" wide problem={withdraw.error ? sentence(withdraw.error) : undefined}>
          <textarea
            rows={3}
            maxLength={2000}
            value={reason}
            onChange={(event) => setReason(event.target.value)}
          />
        </Field>
        <label className={styles.check}>
          <input type="checkbox" checked={files} onChange={(event) => setFiles(event.target.checked)} />
          Also remove its files permanently
        </label>
      </div>
    </Dialog>
  );
}
