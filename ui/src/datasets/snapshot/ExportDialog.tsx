import { useEffect, useState } from "react";
import { api, type Schema } from "../../api/client";
import { sentence } from "../../api/problem";
import { Button } from "../../parts/Button";
import { Dialog } from "../../parts/Dialog";
import { bytes, counted } from "../../parts/format";
import { Icon } from "../../parts/Icon";
import { Coded } from "../Coded";
import styles from "../dialogs.module.css";
import { JobProgress } from "../JobProgress";
import { isOver, useJob } from "../useJob";
import { ranked, spoken, total } from "../words";

type Props = { open: boolean; onClose: () => void; snapshot: Schema["SnapshotDetail"] };

/** Writes the files that a trainer reads, to be fetched as one zip file. */
export function ExportDialog({ open, onClose, snapshot }: Props) {
  const [target, setTarget] = useState(snapshot.targets[0]?.name ?? "");
  const [id, setId] = useState<string | null>(null);
  const begin = api.useMutation("post", "/api/snapshots/{id}/export", {
    onSuccess: (job) => setId(job.job_id),
  });
  const { data: job } = useJob(id);
  useEffect(() => {
    if (!open) setId(null);
  }, [open]);
  const works = id !== null && !isOver(job);
  const made = job?.export;
  const failed = begin.error ? sentence(begin.error) : job?.state === "failed" ? job.error : "";
  return (
    <Dialog
      title="Export for a trainer"
      open={open}
      onClose={onClose}
      actions={
        <>
          <Button onClick={onClose}>Close</Button>
          {made ? (
            <a className={styles.fetch} href={`/api/exports/${made.archive_id}`} download={made.file_name}>
              <Icon name="download" /> Download {bytes(made.size)}
            </a>
          ) : (
            <Button
              kind="primary"
              busy={begin.isPending || works}
              onClick={() =>
                begin.mutate({ params: { path: { id: snapshot.snapshot_id } }, body: { target } })
              }
            >
              Make the files
            </Button>
          )}
        </>
      }
    >
      <div className={styles.content}>
        <fieldset className={styles.choices} disabled={works}>
          <legend className="visually-hidden">What the files are for</legend>
          {snapshot.targets.map((one) => (
            <label key={one.name} className={styles.choice}>
              <input
                type="radio"
                name="target"
                checked={target === one.name}
                onChange={() => {
                  setTarget(one.name);
                  setId(null);
                }}
              />
              <span>
                <b>{one.name}</b>
                <br />
                <span className="soft">
                  <Coded text={one.note} />
                </span>
              </span>
            </label>
          ))}
        </fieldset>
        {works && job && <JobProgress job={job} stoppable />}
        {made && (
          <p role="status">
            {counted(total(made.rows), "row")} in {counted(made.files.length, "file")}:{" "}
            {made.files.join(", ")}.
          </p>
        )}
        {made && total(made.left_out) > 0 && (
          <div>
            <p>
              <b>{counted(total(made.left_out), "row")} left out</b>, because {made.target} cannot express
              them:
            </p>
            <ul className={styles.list}>
              {ranked(made.left_out).map(([reason, value]) => (
                <li key={reason}>
                  {value} {spoken(reason)}{" "}
                  <span className="soft">
                    <Coded text={made.reasons[reason] ?? ""} />
                  </span>
                </li>
              ))}
            </ul>
          </div>
        )}
        {failed && (
          <p role="alert" className={styles.problem}>
            {failed}
          </p>
        )}
        <p className="soft">
          The same on the server:{" "}
          <code>
            regraft dataset export {snapshot.snapshot_id} --to FOLDER --target {target}
          </code>
        </p>
      </div>
    </Dialog>
  );
}
