import { useQueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { useLocation } from "wouter";
import { api, type Schema } from "../../api/client";
import { sentence } from "../../api/problem";
import { Button } from "../../parts/Button";
import { Dialog } from "../../parts/Dialog";
import styles from "../dialogs.module.css";
import { JobProgress } from "../JobProgress";
import { isOver, useJob } from "../useJob";
import { freezeInWords } from "../words";

type Props = { open: boolean; onClose: () => void; text: string; preview: Schema["Preview"] };

/** Freezes a recipe: says what will be frozen, does it, and opens the snapshot. */
export function FreezeDialog({ open, onClose, text, preview }: Props) {
  const [, go] = useLocation();
  const queries = useQueryClient();
  const [id, setId] = useState<string | null>(null);
  const freeze = api.useMutation("post", "/api/recipes/freeze", { onSuccess: (job) => setId(job.job_id) });
  const { data: job } = useJob(id);
  const made = job?.frozen?.snapshot_id;
  useEffect(() => {
    if (!made) return;
    void queries.invalidateQueries({ queryKey: ["get", "/api/snapshots"] });
    go(`/datasets/${made}`);
  }, [made, go, queries]);
  const works = id !== null && !isOver(job);
  const failed = freeze.error ? sentence(freeze.error) : job?.state === "failed" ? job.error : "";
  return (
    <Dialog
      title="Freeze this dataset"
      open={open}
      onClose={onClose}
      actions={
        <>
          <Button onClick={onClose}>{works ? "Close, and continue in the background" : "Not now"}</Button>
          <Button
            kind="primary"
            busy={freeze.isPending || works}
            onClick={() => freeze.mutate({ body: { text } })}
          >
            Freeze
          </Button>
        </>
      }
    >
      <div className={styles.content}>
        <p>{freezeInWords(preview)}</p>
        <p className="soft">
          A snapshot never changes. The same rows give the same snapshot; it can be withdrawn, with a reason.
        </p>
        {works && job && <JobProgress job={job} stoppable />}
        {job?.state === "cancelled" && <p>It was stopped. Nothing was frozen.</p>}
        {failed && (
          <p role="alert" className={styles.problem}>
            {failed}
          </p>
        )}
      </div>
    </Dialog>
  );
}
