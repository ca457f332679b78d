import { api, type Schema } from "../../api/client";
import { type Column, DataTable } from "../../parts/DataTable";
import { Empty } from "../../parts/Empty";
import { Failed } from "../../parts/Failed";
import { count, percent } from "../../parts/format";
import { Loading } from "../../parts/Loading";
import { Interval } from "../figures/Interval";
import styles from "./QueuePage.module.css";
import { kindName } from "./shares";

type Row = Schema["EstimateOfTheme"];

/** What the random sample says of all paths. */
export function EstimatesTable({ samples }: { samples: readonly Schema["RandomSample"][] }) {
  const found = api.useQuery("get", "/api/review/estimates");
  if (found.error) return <Failed error={found.error} retry={() => void found.refetch()} />;
  if (!found.data) return <Loading what="estimates" />;
  if (found.data.estimates.length === 0)
    return (
      <Empty title="No path of the random sample was judged yet">
        <p>Rate whole paths: the random sample is mixed with the others.</p>
      </Empty>
    );
  const columns: Column<Row>[] = [
    {
      key: "what",
      head: "Of",
      cell: (row) => (row.what === "rating" ? "mean rating" : row.what.replaceAll("_", " ")),
    },
    { key: "theme", head: "Theme", cell: (row) => (row.theme === null ? "all" : row.theme || "no theme") },
    {
      key: "mean",
      head: "Estimate, 95 %",
      width: "16rem",
      cell: (row) => (
        <Interval
          value={row.mean}
          low={row.low}
          high={row.high}
          n={row.judged}
          from={row.what === "rating" ? 1 : 0}
          to={row.what === "rating" ? 5 : 1}
        />
      ),
    },
    {
      key: "population",
      head: "Of paths",
      width: "8rem",
      align: "end",
      cell: (row) => count(Math.round(row.population)),
    },
  ];
  return (
    <>
      <p className={styles.about}>
        {samples
          .map(
            (one) =>
              `${percent(one.rate, 1)} of ${count(one.population)} × ${kindName(one.kind)} (${one.scope})`,
          )
          .join(" · ")}
        . Horvitz–Thompson, from the random sample alone.
      </p>
      <DataTable
        label="Estimates"
        columns={columns}
        rows={found.data.estimates}
        rowKey={(row) => `${row.what} ${row.theme}`}
      />
    </>
  );
}
