import { useQuery } from "@tanstack/react-query";
import { client, type Schema } from "../api/client";

export type Job = Schema["DatasetJob"];

/** Whether nothing more will come of work. */
export function isOver(job: Job | undefined): boolean {
  return job !== undefined && ["done", "failed", "cancelled"].includes(job.state);
}

/** Work on the server, asked for again until it is over; null is none. */
export function useJob(id: string | null) {
  return useQuery({
    queryKey: ["dataset-job", id],
    enabled: id !== null,
    queryFn: async ({ signal }) => {
      const { data } = await client.GET("/api/dataset-jobs/{id}", {
        params: { path: { id: id ?? "" } },
        signal,
      });
      if (!data) throw new Error("The server sent nothing.");
      return data;
    },
    refetchInterval: (query) => (isOver(query.state.data) || query.state.error ? false : 400),
    staleTime: Number.POSITIVE_INFINITY,
  });
}
