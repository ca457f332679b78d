import { useMemo, useState } from "react";
import { Link, useLocation } from "wouter";
import { api, type Schema } from "../api/client";
import { Button } from "../parts/Button";
import { Chip } from "../parts/Chip";
import { type Column, DataTable } from "../parts/DataTable";
import { Empty } from "../parts/Empty";
import { ExportButtons } from "../parts/ExportButtons";
import { Failed } from "../parts/Failed";
import { count } from "../parts/format";
import { Loading } from "../parts/Loading";
import { Page } from "../parts/Page";
import { Time } from "../parts/Time";
import { useNarrow } from "../parts/useNarrow";
import styles from "./DatasetsPage.module.css";
import { Works } from "./Works";
import { KINDS, splitsInWords, total } from "./words";

type Snapshot = Schema["Snapshot"];

const COLUMNS: readonly Column<Snapshot>[] = [
  {
    key: "snapshot",
    head: "Snapshot",
    cell: (row) => (
      <>
        <b>{row.dataset}</b>{" "}
        <span className="soft mono">
          {row.snapshot_id.slice(row.dataset.length + 1, row.dataset.length + 9)}
        </span>{" "}
        {row.withdrawn_at && <Chip tone="bad">withdrawn</Chip>}
      </>
    ),
  },
  {
    key: "kind",
    head: "Kind",
    width: "7rem",
    cell: (row) => <span title={KINDS[row.kind]}>{row.kind}</span>,
  },
  { key: "rows", head: "Rows", width: "6rem", align: "end", cell: (row) => count(total(row.row_counts)) },
  { key: "splits", head: "Splits", width: "16rem", cell: (row) => splitsInWords(row.row_counts) },
  { key: "frozen", head: "Frozen", width: "9rem", cell: (row) => <Time at={row.created_at} /> },
];

const NARROW = COLUMNS.filter((column) => ["snapshot", "rows"].includes(column.key));

/** Recipes, and the snapshots that were frozen from them. */
export default function DatasetsPage() {
  const recipes = api.useQuery("get", "/api/recipes");
  const snapshots = api.useQuery("get", "/api/snapshots", { params: { query: { limit: 200 } } });
  const newest = useMemo(() => [...(snapshots.data?.snapshots ?? [])].reverse(), [snapshots.data]);
  return (
    <Page
      title="Datasets"
      about="A recipe says which conversations to take. Freezing it makes a snapshot that never changes, and every row of it leads back to where it came from."
    >
      <Works />
      <section className={styles.part}>
        <h2 id="recipes">Recipes</h2>
        {recipes.error ? (
          <Failed error={recipes.error} retry={() => void recipes.refetch()} />
        ) : !recipes.data ? (
          <Loading what="recipes" />
        ) : (
          <ul className={styles.recipes}>
            {recipes.data.recipes.map((recipe) => (
              <li key={recipe.name}>
                <Link href={`/datasets/recipes/${recipe.name}`} className={styles.recipe}>
                  <span className={styles.name}>
                    <b>{recipe.name}</b>
                    {recipe.kind && <Chip title={KINDS[recipe.kind]}>{recipe.kind}</Chip>}
                    {recipe.origin === "built_in" && <span className="soft">built in</span>}
                    {recipe.problem && <Chip tone="bad">not valid</Chip>}
                  </span>
                  <span className="soft">{recipe.problem || recipe.description || KINDS[recipe.kind]}</span>
                </Link>
              </li>
            ))}
          </ul>
        )}
      </section>
      <Snapshots found={snapshots} newest={newest} />
    </Page>
  );
}

function Snapshots({
  found,
  newest,
}: {
  found: { error: unknown; data?: unknown; refetch: () => unknown };
  newest: Snapshot[];
}) {
  const [, go] = useLocation();
  const narrow = useNarrow();
  const [compared, setCompared] = useState<readonly string[]>([]);
  const pick: Column<Snapshot> = {
    key: "pick",
    head: <span className="visually-hidden">Compare</span>,
    name: "Compare",
    width: "3.4rem",
    cell: (row) => (
      <input
        type="checkbox"
        aria-label={`Compare ${row.snapshot_id}`}
        checked={compared.includes(row.snapshot_id)}
        onChange={(event) =>
          setCompared((old) =>
            event.target.checked
              ? [...old, row.snapshot_id].slice(-2)
              : old.filter((one) => one !== row.snapshot_id),
          )
        }
      />
    ),
  };
  const inOrder = newest.filter((row) => compared.includes(row.snapshot_id)).reverse();
  return (
    <section className={styles.part}>
      <div className={styles.head}>
        <h2 id="snapshots">Snapshots</h2>
        {newest.length > 0 && (
          <>
            <Button
              disabled={inOrder.length !== 2}
              onClick={() => go(`/datasets/diff/${inOrder[0]?.snapshot_id}/${inOrder[1]?.snapshot_id}`)}
            >
              {inOrder.length === 2 ? "Compare the two" : "Select two to compare"}
            </Button>
            <ExportButtons name="snapshots" columns={EXPORTED} rows={() => newest.map(exported)} />
          </>
        )}
      </div>
      {found.error ? (
        <Failed error={found.error} retry={() => void found.refetch()} />
      ) : !found.data ? (
        <Loading what="snapshots" />
      ) : newest.length === 0 ? (
        <Empty title="No dataset was frozen yet">
          Open a recipe above, look at its preview, and freeze it; or run{" "}
          <code>regraft dataset freeze demo-sft</code>.
        </Empty>
      ) : (
        <DataTable
          label="Frozen snapshots"
          columns={[pick, ...(narrow ? NARROW : COLUMNS)]}
          minWidth={narrow ? "0" : undefined}
          rows={newest}
          rowKey={(row) => row.snapshot_id}
          onOpen={(row) => go(`/datasets/${row.snapshot_id}`)}
        />
      )}
    </section>
  );
}

const EXPORTED = ["snapshot_id", "dataset", "kind", "rows", "created_at", "withdrawn_at", "content_hash"];

function exported(row: Snapshot) {
  return {
    snapshot_id: row.snapshot_id,
    dataset: row.dataset,
    kind: row.kind,
    rows: total(row.row_counts),
    created_at: row.created_at,
    withdrawn_at: row.withdrawn_at,
    content_hash: row.content_hash,
  };
}
