import { api } from "../../api/client";

const FAST = 2_000;
const SLOW = 20_000;

/** The answers under a node, asked for again and again while they grow. */
export function useComparison(node: string, growing: boolean) {
  return api.useQuery(
    "get",
    "/api/compare/{id}",
    { params: { path: { id: node } } },
    { refetchInterval: growing ? FAST : SLOW },
  );
}

/** Whether a plan runs now whose answers may come under a node. */
export function useReplaysRunning(): boolean {
  const { data } = api.useQuery(
    "get",
    "/api/replays",
    { params: { query: { limit: 10 } } },
    { refetchInterval: 5_000 },
  );
  return data?.replays.some((plan) => plan.state === "running") ?? false;
}
