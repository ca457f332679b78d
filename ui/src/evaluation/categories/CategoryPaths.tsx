import { Link } from "wouter";
import { api, type Schema } from "../../api/client";
import { Failed } from "../../parts/Failed";
import { figure, percent, shortId } from "../../parts/format";
import { Loading } from "../../parts/Loading";
import styles from "./categories.module.css";

/** The paths that one maker says a category of, and the clusters that have more of it than the rest. */
export function CategoryPaths({ of }: { of: Schema["CategoryMaker"] }) {
  const path = { id: of.category };
  const layer = of.layer as "rules" | "model" | "learned" | "human";
  const query = { layer, maker: of.maker, decided: true, limit: 50 };
  const paths = api.useQuery("get", "/api/categories/{id}/paths", { params: { path, query } });
  const clusters = api.useQuery("get", "/api/categories/{id}/clusters", {
    params: { path, query: { limit: 100 } },
  });
  const lifted = (clusters.data?.labels ?? []).filter(
    (one) => one.source === of.layer && one.maker === of.maker && one.share > one.overall,
  );
  return (
    <section className={styles.detail} aria-label={of.category}>
      <h2>{of.category}</h2>
      {lifted.length > 0 && (
        <ul className={styles.clusters} aria-label="Clusters with more of it">
          {lifted.slice(0, 6).map((one) => (
            <li key={one.cluster_id}>
              <Link href={`/clusters/${one.cluster_id}`}>{one.cluster || shortId(one.cluster_id)}</Link>
              <span title={`95 %: ${percent(one.share_low)} to ${percent(one.share_high)}`}>
                {percent(one.share)} of its paths
              </span>
              <span className="soft">{percent(one.overall)} of all</span>
            </li>
          ))}
        </ul>
      )}
      {paths.error ? (
        <Failed error={paths.error} retry={() => void paths.refetch()} />
      ) : !paths.data ? (
        <Loading what="paths" />
      ) : paths.data.paths.length === 0 ? (
        <p className="soft">No path has it.</p>
      ) : (
        <ul className={styles.paths}>
          {paths.data.paths.map((one) => (
            <li key={one.unit_id}>
              <p className={styles.asked} dir="auto">
                {one.asked}
              </p>
              <p className={styles.answer} dir="auto">
                {one.answer_text}
              </p>
              {one.evidence[0] && <p className={styles.evidence}>{one.evidence[0]}</p>}
              <p className={styles.foot}>
                <Link href={`/nodes/${one.unit_id}`}>{shortId(one.unit_id)}</Link>
                {one.value !== null && <span>value {figure(one.value)}</span>}
                {one.theme && <span>{one.theme}</span>}
                {one.model && <span>{one.model}</span>}
              </p>
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}
