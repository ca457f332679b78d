import { Link } from "wouter";
import type { Schema } from "../../api/client";
import { count, figure, percent } from "../../parts/format";
import { type PointStyle, styleOfLevel } from "./colouring";
import styles from "./map.module.css";
import { type ClusterOrder, sortedClusters } from "./order";
import { ShapeMark } from "./ShapeMark";

type Cluster = Schema["Cluster"];
type Props = {
  clusters: readonly Cluster[];
  styleOf: (cluster: string) => PointStyle | undefined;
  order: ClusterOrder;
  onOrder: (order: ClusterOrder) => void;
  chosen: readonly string[];
  onToggle: (cluster: string) => void;
};

/** The clusters of the map for eyes, keyboards and screen readers: the worst first, each selectable with its paths. */
export function ClusterList({ clusters, styleOf, order, onOrder, chosen, onToggle }: Props) {
  return (
    <section className={styles.list} aria-label="Clusters">
      <div className={styles.listHead}>
        <h2>Clusters</h2>
        <label>
          <span className="visually-hidden">Order</span>
          <select value={order} onChange={(event) => onOrder(event.target.value as ClusterOrder)}>
            <option value="worst">Worst outcome first</option>
            <option value="quality">Worst quality first</option>
            <option value="errors">Most errors first</option>
            <option value="largest">Largest first</option>
          </select>
        </label>
      </div>
      <ul>
        {sortedClusters(clusters, order).map((cluster) => {
          const style = styleOf(cluster.cluster_id);
          return (
            <li
              key={cluster.cluster_id}
              className={styles.cluster}
              data-chosen={chosen.includes(cluster.cluster_id) || undefined}
            >
              <input
                type="checkbox"
                checked={chosen.includes(cluster.cluster_id)}
                onChange={() => onToggle(cluster.cluster_id)}
                aria-label={`Select ${nameOf(cluster)}`}
              />
              {style && <ShapeMark style={style} />}
              <div className={styles.about}>
                <Link href={`/clusters/${cluster.cluster_id}`} title={cluster.words.join(", ")}>
                  {nameOf(cluster)}
                </Link>
                <span className={styles.figures}>
                  {count(cluster.units)} {cluster.units === 1 ? "path" : "paths"} · quality{" "}
                  {figure(cluster.quality)}
                  {cluster.error_rate > 0 && ` · ${percent(cluster.error_rate)} end in errors`}
                </span>
              </div>
              <Rate value={cluster.outcome_rate} of={cluster.outcomes} />
            </li>
          );
        })}
      </ul>
    </section>
  );
}

/** A mean outcome with the mark of its level; from how many is in its title. */
export function Rate({ value, of }: { value: number | null; of: number }) {
  const style = styleOfLevel(value);
  return (
    <span
      className={styles.rate}
      title={value === null ? "no outcome is known" : `mean of ${count(of)} outcomes`}
    >
      <ShapeMark style={style} />
      {figure(value)}
    </span>
  );
}

/** The name of a cluster; by a tenant's token it has none. */
export function nameOf(cluster: Pick<Cluster, "name" | "cluster_id">): string {
  return cluster.name || `Cluster ${cluster.cluster_id.slice(0, 8)}`;
}
