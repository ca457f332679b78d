import { useQueryClient } from "@tanstack/react-query";
import { useEffect, useRef } from "react";
import { Link } from "wouter";
import { api } from "../api/client";
import { JobProgress } from "./JobProgress";
import { isOver, type Job } from "./useJob";
import styles from "./Works.module.css";

const NAMES: Readonly<Record<string, string>> = {
  freeze: "Freezing",
  verify: "Verifying",
  export: "Exporting",
};

/** What goes on in the background; nothing where nothing does. */
export function Works() {
  const queries = useQueryClient();
  const { data } = api.useQuery(
    "get",
    "/api/dataset-jobs",
    {},
    { refetchInterval: (query) => (query.state.data?.jobs.some((job) => !isOver(job)) ? 1000 : 15_000) },
  );
  const active = data?.jobs.filter((job) => !isOver(job)) ?? [];
  const before = useRef(0);
  useEffect(() => {
    if (active.length < before.current)
      void queries.invalidateQueries({ queryKey: ["get", "/api/snapshots"] });
    before.current = active.length;
  }, [active.length, queries]);
  if (active.length === 0) return null;
  return (
    <ul className={styles.works} aria-label="Going on">
      {active.map((job) => (
        <li key={job.job_id}>
          <span>
            {NAMES[job.name] ?? job.name} <About job={job} />
          </span>
          <JobProgress job={job} stoppable />
        </li>
      ))}
    </ul>
  );
}

function About({ job }: { job: Job }) {
  if (job.name === "freeze") return <b>{job.about}</b>;
  return <Link href={`/datasets/${job.about}`}>{job.about}</Link>;
}
