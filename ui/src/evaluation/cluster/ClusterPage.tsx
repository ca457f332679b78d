import { useState } from "react";
import { Link } from "wouter";
import { api, type Schema } from "../../api/client";
import { Button } from "../../parts/Button";
import { Chip } from "../../parts/Chip";
import { CopyLink } from "../../parts/CopyLink";
import { Failed } from "../../parts/Failed";
import { Figures } from "../../parts/Figures";
import { count, figure, measured, percent, taken } from "../../parts/format";
import { Loading } from "../../parts/Loading";
import { Page } from "../../parts/Page";
import type { PageProps } from "../../shell/page";
import { useMe } from "../../shell/session";
import { nameOf } from "../map/ClusterList";
import { ClusterPaths } from "./ClusterPaths";
import styles from "./cluster.module.css";
import { NameDialog } from "./NameDialog";
import { NearClusters } from "./NearClusters";
import { OverRepresented } from "./OverRepresented";
import { PathCard } from "./PathCard";

/** One cluster: what its paths are about, how they end, what is near, and each of them. */
export default function ClusterPage({ params }: PageProps) {
  const id = params.id ?? "";
  const [naming, setNaming] = useState(false);
  const me = useMe();
  const renames = me?.role === "admin" && me.scope === null; // clusters have paths of all tenants
  const { data, error, refetch } = api.useQuery("get", "/api/clusters/{id}", { params: { path: { id } } });
  const crumbs = [{ label: "Map", href: "/map" }];
  if (error || !data) {
    return (
      <Page title="Cluster" crumbs={crumbs}>
        {error ? <Failed error={error} retry={() => void refetch()} /> : <Loading what="cluster" />}
      </Page>
    );
  }
  const cluster = data.cluster;
  return (
    <Page
      title={nameOf(cluster)}
      crumbs={crumbs}
      about={
        cluster.words.length > 0 && (
          <span className={styles.words}>
            {cluster.words.map((word) => (
              <Chip key={word}>{word}</Chip>
            ))}
          </span>
        )
      }
      actions={
        <>
          <Link className={styles.button} href={`/map?clusters=${cluster.cluster_id}&layer=${cluster.layer}`}>
            Show on the map
          </Link>
          {renames && <Button onClick={() => setNaming(true)}>Rename</Button>}
          <CopyLink />
        </>
      }
    >
      {naming && (
        <NameDialog
          id={cluster.cluster_id}
          name={cluster.name}
          onClose={() => setNaming(false)}
          onDone={() => void refetch()}
        />
      )}
      <Figures figures={figuresOf(cluster)} />
      <div className={styles.columns}>
        <section>
          <h2>Typical paths</h2>
          <div className={styles.cards}>
            {data.typical.map((one) => (
              <PathCard key={one.unit_id} path={one} />
            ))}
          </div>
        </section>
        <div className={styles.side}>
          <OverRepresented found={cluster.over_represented} />
          <NearClusters title="Nearest clusters" clusters={data.nearest} />
          {data.parts.length > 0 && <NearClusters title="Parts in the finer layer" clusters={data.parts} />}
        </div>
      </div>
      <ClusterPaths id={cluster.cluster_id} units={cluster.units} />
    </Page>
  );
}

function figuresOf(cluster: Schema["Cluster"]) {
  const known = `${count(cluster.outcomes)} of ${count(cluster.units)} have an outcome`;
  return [
    { label: "Paths", value: count(cluster.units) },
    { label: "Outcome", value: figure(cluster.outcome_rate), title: known },
    { label: "End in errors", value: percent(cluster.error_rate) },
    { label: "Tool calls failed", value: percent(cluster.tool_error_rate) },
    { label: "Quality", value: figure(cluster.quality) },
    { label: "Turns", value: figure(cluster.turns, 1) },
    { label: "Prompt tokens", value: measured(cluster.prompt_tokens) },
    { label: "Answer tokens", value: measured(cluster.completion_tokens) },
    { label: "Time", value: taken(cluster.seconds * 1000) },
  ];
}
