import { useMemo } from "react";
import { api, type Schema } from "../../api/client";
import { Chip } from "../../parts/Chip";
import { type Column, DataTable } from "../../parts/DataTable";
import { Empty } from "../../parts/Empty";
import { ExportButtons } from "../../parts/ExportButtons";
import { Failed } from "../../parts/Failed";
import { count, counted } from "../../parts/format";
import { Loading } from "../../parts/Loading";
import { Page } from "../../parts/Page";
import { useUrlState } from "../../parts/useUrlState";
import { CategoryPaths } from "./CategoryPaths";
import styles from "./categories.module.css";

type Maker = Schema["CategoryMaker"];

const LAYERS: Readonly<Record<string, string>> = {
  rules: "rules",
  model: "a model",
  learned: "the learned labeller",
  human: "people",
};
const EXPORTED = ["category", "layer", "maker", "labels", "decided", "unreadable", "standing"];
const COLUMNS: readonly Column<Maker>[] = [
  { key: "category", head: "Category", cell: (row) => <strong>{row.category}</strong> },
  {
    key: "maker",
    head: "Said by",
    width: "7rem",
    cell: (row) =>
      row.layer === row.maker || row.layer !== "model" ? (LAYERS[row.layer] ?? row.layer) : row.maker,
  },
  { key: "decided", head: "Holds of", width: "5.5rem", align: "end", cell: (row) => count(row.decided) },
  { key: "labels", head: "Looked at", width: "6.2rem", align: "end", cell: (row) => count(row.labels) },
  {
    key: "standing",
    head: "Standing",
    width: "8rem",
    cell: (row) =>
      row.standing && (
        <Chip tone={row.standing === "calibrated" ? "good" : "warn"} title={row.standing}>
          {row.standing.split(":")[0]}
        </Chip>
      ),
  },
];

/** What rules, models and people say of paths: each category by who says so, and the paths of the chosen one. */
export default function CategoriesPage() {
  const [chosen, setChosen] = useUrlState("chosen");
  const { data, error, refetch } = api.useQuery("get", "/api/categories");
  const rows = useMemo(
    () =>
      [...(data?.categories ?? [])].sort(
        (a, b) => b.decided - a.decided || (a.category < b.category ? -1 : 1),
      ),
    [data],
  );
  const shown = rows.find((row) => keyOf(row) === chosen) ?? rows[0];
  return (
    <Page
      title="Categories"
      about={
        data &&
        `${counted(new Set(rows.map((row) => row.category)).size, "category", "categories")} of paths, by who says so`
      }
      actions={rows.length > 0 && <ExportButtons name="categories" columns={EXPORTED} rows={() => rows} />}
    >
      {error ? (
        <Failed error={error} retry={() => void refetch()} />
      ) : !data ? (
        <Loading what="categories" />
      ) : rows.length === 0 ? (
        <Empty title="No path has a category yet">
          <p>Rules label every evaluated path; judges and people add labels.</p>
          <pre>
            <code>{"regraft evaluate units\nregraft categories list"}</code>
          </pre>
        </Empty>
      ) : (
        <div className={styles.columns}>
          <DataTable
            label="Categories"
            columns={COLUMNS}
            rows={rows}
            rowKey={keyOf}
            onOpen={(row) => setChosen(keyOf(row), { push: true })}
            minWidth="34rem"
          />
          {shown && <CategoryPaths key={keyOf(shown)} of={shown} />}
        </div>
      )}
    </Page>
  );
}

function keyOf(row: Maker): string {
  return [row.category, row.layer, row.maker, row.version].join("|");
}
