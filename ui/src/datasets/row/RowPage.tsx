import { Link } from "wouter";
import { api, type Schema } from "../../api/client";
import { Chip } from "../../parts/Chip";
import { CopyLink } from "../../parts/CopyLink";
import { Failed } from "../../parts/Failed";
import { Loading } from "../../parts/Loading";
import { LongText } from "../../parts/LongText";
import { Page } from "../../parts/Page";
import type { PageProps } from "../../shell/page";
import { Judgements } from "./Judgements";
import { Nodes } from "./Nodes";
import { Parts } from "./Parts";
import styles from "./RowPage.module.css";

/** A row of a dataset: what is learned from it, and where it came from. */
export default function RowPage({ params }: PageProps) {
  const id = params.snapshot ?? "";
  const row = params.row ?? "";
  const { data, error, refetch } = api.useQuery("get", "/api/snapshots/{id}/rows/{row}", {
    params: { path: { id, row } },
  });
  const crumbs = [
    { label: "Datasets", href: "/datasets" },
    { label: id, href: `/datasets/${id}` },
    { label: "Rows", href: `/datasets/${id}?tab=rows` },
  ];
  return (
    <Page
      title={`Row ${row.slice(0, 8)}`}
      crumbs={crumbs}
      actions={<CopyLink />}
      about={data && <About row={data} />}
    >
      {error ? (
        <Failed error={error} retry={() => void refetch()} />
      ) : !data ? (
        <Loading what="row" />
      ) : (
        <div className={styles.sides}>
          <Parts row={data} />
          <aside className={styles.origin} aria-label="Where it came from">
            <Figures row={data} />
            <Nodes row={data} />
            <Judgements row={data} />
            {data.tools && (
              <details>
                <summary>Tools that the request offered</summary>
                <LongText text={indented(data.tools)} code />
              </details>
            )}
          </aside>
        </div>
      )}
    </Page>
  );
}

function About({ row }: { row: Schema["SnapshotRowDetail"] }) {
  return (
    <span className={styles.about}>
      <Chip>{row.split}</Chip>
      <Chip>{row.kind}</Chip>
      {row.label && (
        <Chip tone={row.label === "true" || row.label === "retain" ? "good" : "bad"}>{row.label}</Chip>
      )}
      {row.negative && <Chip tone="warn">{row.negative}</Chip>}
      {row.notes.map((note) => (
        <span key={note}>{note}</span>
      ))}
      <Link href={`/sessions/${row.session_id}`}>session {row.session_id.slice(0, 8)}</Link>
    </span>
  );
}

function Figures({ row }: { row: Schema["SnapshotRowDetail"] }) {
  return (
    <section className={styles.part} aria-labelledby="why">
      <h2 id="why">Why it is in the dataset</h2>
      <table className={styles.figures}>
        <thead className="visually-hidden">
          <tr>
            <th scope="col">figure</th>
            <th scope="col">value</th>
            <th scope="col">wanted</th>
          </tr>
        </thead>
        <tbody>
          {row.figures.map((one) => (
            <tr key={one.name}>
              <th scope="row">{one.name}</th>
              <td>{one.value}</td>
              <td className="soft">{one.demanded}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

function indented(json: string): string {
  try {
    return JSON.stringify(JSON.parse(json), null, 2);
  } catch {
    return json;
  }
}
