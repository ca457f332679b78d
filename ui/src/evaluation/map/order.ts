import type { Schema } from "../../api/client";

export const ORDERS = ["worst", "quality", "errors", "largest"] as const;
export type ClusterOrder = (typeof ORDERS)[number];
type Cluster = Schema["Cluster"];

/** Clusters in an order; those of whose outcome nothing is known come last by outcome, by their quality. */
export function sortedClusters(clusters: readonly Cluster[], order: ClusterOrder): Cluster[] {
  const of: Record<ClusterOrder, (one: Cluster) => number[]> = {
    worst: (one) => [one.outcome_rate ?? 2, one.quality],
    quality: (one) => [one.quality],
    errors: (one) => [-one.error_rate, -one.units],
    largest: (one) => [-one.units],
  };
  const key = of[order];
  return [...clusters].sort((a, b) => {
    const [left, right] = [key(a), key(b)];
    for (let at = 0; at < left.length; at++) {
      const step = (left[at] as number) - (right[at] as number);
      if (step !== 0) return step;
    }
    return a.cluster_id < b.cluster_id ? -1 : 1;
  });
}
