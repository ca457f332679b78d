import { Link } from "wouter";
import type { Schema } from "../../api/client";
import { counted, figure } from "../../parts/format";
import { nameOf, Rate } from "../map/ClusterList";
import styles from "./cluster.module.css";

type Cluster = Schema["Cluster"] & { similarity?: number };

/** Other clusters, with how similar they are where that is known. */
export function NearClusters({ title, clusters }: { title: string; clusters: readonly Cluster[] }) {
  if (clusters.length === 0) return null;
  return (
    <section>
      <h2>{title}</h2>
      <ul className={styles.near}>
        {clusters.map((one) => (
          <li key={one.cluster_id}>
            <Link href={`/clusters/${one.cluster_id}`}>{nameOf(one)}</Link>
            <span className="soft">{counted(one.units, "path")}</span>
            {one.similarity !== undefined && (
              <span title="cosine of the middles, -1 to 1">{figure(one.similarity)}</span>
            )}
            <Rate value={one.outcome_rate} of={one.outcomes} />
          </li>
        ))}
      </ul>
    </section>
  );
}
