import { api } from "../api/client";
import { Button } from "../parts/Button";
import { ProgressBar } from "../parts/ProgressBar";
import { useIsAdmin } from "../shell/session";
import styles from "./JobProgress.module.css";
import type { Job } from "./useJob";
import { stepInWords } from "./words";

/** What work is doing and how far it is, with a way to stop it. */
export function JobProgress({ job, stoppable = false }: { job: Job; stoppable?: boolean }) {
  const cancel = api.useMutation("post", "/api/dataset-jobs/{id}/cancel");
  const admin = useIsAdmin();
  const step = stepInWords(job.step);
  return (
    <div className={styles.progress} role="status">
      <span>{step} …</span>
      <ProgressBar label={step} done={job.done} total={job.total || null} />
      {stoppable && admin && (
        <Button
          busy={cancel.isPending || cancel.isSuccess}
          onClick={() => cancel.mutate({ params: { path: { id: job.job_id } } })}
        >
          {cancel.isSuccess ? "Stopping …" : "Stop"}
        </Button>
      )}
    </div>
  );
}
