import { useEffect, useRef, useState } from "react";
import { client, type Schema } from "../../api/client";
import { isOver, useJob } from "../useJob";

const QUIET = 450; // milliseconds without a change before the text is looked at

/** What is known of a text: its mistakes once it was checked; undefined while it is not. */
export function useCheck(text: string | undefined) {
  const [found, setFound] = useState<{ text: string; checked: Schema["CheckedRecipe"] }>();
  const [error, setError] = useState<unknown>();
  useEffect(() => {
    if (text === undefined) return;
    const stop = new AbortController();
    const timer = setTimeout(async () => {
      try {
        const { data } = await client.POST("/api/recipes/check", { body: { text }, signal: stop.signal });
        if (data) setFound({ text, checked: data });
        setError(undefined);
      } catch (problem) {
        if (!stop.signal.aborted) setError(problem);
      }
    }, QUIET);
    return () => {
      clearTimeout(timer);
      stop.abort();
    };
  }, [text]);
  return { checked: found?.checked, isCurrent: found?.text === text, error };
}

/** A preview of a text, begun anew when the text changes; the last one stays until the next is there. */
export function usePreview(text: string | undefined, allRows: boolean) {
  const page = useRef(Math.random().toString(36).slice(2));
  const [job, setJob] = useState<{ id: string; text: string; allRows: boolean } | null>(null);
  const [error, setError] = useState<unknown>();
  const [again, setAgain] = useState(0);
  const [last, setLast] = useState<{ preview: Schema["Preview"]; text: string }>();
  // biome-ignore lint/correctness/useExhaustiveDependencies: `again` asks for the same once more
  useEffect(() => {
    if (text === undefined) return;
    const stop = new AbortController();
    client
      .POST("/api/recipes/preview", {
        body: { text, page: page.current, all_rows: allRows },
        signal: stop.signal,
      })
      .then(({ data }) => {
        if (data) setJob({ id: data.job_id, text, allRows });
        setError(undefined);
      })
      .catch((problem) => {
        if (!stop.signal.aborted) setError(problem);
      });
    return () => stop.abort();
  }, [text, allRows, again]);
  const { data, error: lost } = useJob(job?.id ?? null);
  const found = data?.preview;
  useEffect(() => {
    if (found && job) setLast({ preview: found, text: job.text });
  }, [found, job]);
  return {
    preview: found ?? last?.preview,
    isCurrent: found != null && job?.text === text && job?.allRows === allRows,
    job: isOver(data) ? undefined : data,
    failure: data?.state === "failed" && job?.text === text ? data.error : "",
    error: error ?? lost,
    retry: () => setAgain((times) => times + 1),
  };
}
