import { useState } from "react";
import { Link } from "wouter";
import { api, type Schema } from "../../api/client";
import { sentence } from "../../api/problem";
import { Button } from "../../parts/Button";
import { JobProgress } from "../JobProgress";
import { isOver, useJob } from "../useJob";
import { verificationInWords } from "../words";
import styles from "./Verify.module.css";

/** Proves a dataset again, now: its files by their hash, each row by the recorded calls. */
export function Verify({ snapshot }: { snapshot: Schema["SnapshotDetail"] }) {
  const [id, setId] = useState<string | null>(null);
  const begin = api.useMutation("post", "/api/snapshots/{id}/verify", {
    onSuccess: (job) => setId(job.job_id),
  });
  const { data: job } = useJob(id);
  const found = job?.verification;
  const works = id !== null && !isOver(job);
  const failed = begin.error ? sentence(begin.error) : job?.state === "failed" ? job.error : "";
  return (
    <div className={styles.verify}>
      <div className={styles.row}>
        <Button
          icon="review"
          busy={begin.isPending || works}
          onClick={() => begin.mutate({ params: { path: { id: snapshot.snapshot_id } } })}
        >
          Verify now
        </Button>
        {!found && !works && !failed && (
          <span className="soft">
            Recomputes the hash of the files, and every row from the recorded calls.
          </span>
        )}
        {works && job && <JobProgress job={job} stoppable />}
      </div>
      {found && (
        <p role="status" className={found.ok ? styles.good : styles.bad}>
          <b>{found.ok ? "Verified." : "It differs from what was frozen."}</b> {verificationInWords(found)}
        </p>
      )}
      {found && found.changed.length > 0 && (
        <ul className={styles.changed}>
          {found.changed.map((one) => (
            <li key={one.row_id}>
              <Link href={`/datasets/${snapshot.snapshot_id}/rows/${one.row_id}`} className="mono">
                {one.row_id.slice(0, 8)}
              </Link>{" "}
              {one.how}
            </li>
          ))}
        </ul>
      )}
      {failed && (
        <p role="alert" className={styles.bad}>
          {failed}
        </p>
      )}
    </div>
  );
}
