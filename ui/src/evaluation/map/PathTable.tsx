import { useMemo } from "react";
import { useLocation } from "wouter";
import { type Column, DataTable } from "../../parts/DataTable";
import { figure, shortId } from "../../parts/format";
import { styleOfLevel } from "./colouring";
import styles from "./map.module.css";
import { type MapData, shareOf } from "./mapData";
import { ShapeMark } from "./ShapeMark";

export type PathRow = {
  unit_id: string;
  session_id: string;
  cluster: string;
  theme: string;
  outcome: number | null;
  quality: number | null;
};

/** The selected points as rows. */
export function pathRows(
  data: MapData,
  places: readonly number[],
  ids: { units: readonly string[]; sessions: readonly string[] },
  nameOf: (cluster: string) => string,
): PathRow[] {
  return places.map((at) => ({
    unit_id: ids.units[at] ?? "",
    session_id: ids.sessions[at] ?? "",
    cluster: nameOf(data.clusters[data.cluster[at] ?? -1] ?? ""),
    theme: data.themes[data.theme[at] ?? -1] ?? "",
    outcome: shareOf(data.outcome[at]),
    quality: shareOf(data.quality[at]),
  }));
}

const COLUMNS: readonly Column<PathRow>[] = [
  { key: "path", head: "Path", width: "7rem", cell: (row) => <code>{shortId(row.unit_id)}</code> },
  { key: "cluster", head: "Cluster", cell: (row) => <span title={row.cluster}>{row.cluster}</span> },
  { key: "theme", head: "Theme", width: "9rem", cell: (row) => row.theme },
  {
    key: "outcome",
    head: "Outcome",
    width: "6.5rem",
    align: "end",
    cell: (row) => (
      <span className={styles.rate}>
        <ShapeMark style={styleOfLevel(row.outcome)} />
        {figure(row.outcome)}
      </span>
    ),
  },
  { key: "quality", head: "Quality", width: "5.5rem", align: "end", cell: (row) => figure(row.quality) },
];

/** Paths, the worst first; a row opens the path in its tree. */
export function PathTable({ rows }: { rows: readonly PathRow[] }) {
  const [, go] = useLocation();
  const sorted = useMemo(
    () =>
      [...rows].sort((a, b) => (a.outcome ?? 2) - (b.outcome ?? 2) || (a.quality ?? 2) - (b.quality ?? 2)),
    [rows],
  );
  return (
    <div className={styles.table}>
      <DataTable
        label="Selected paths"
        columns={COLUMNS}
        rows={sorted}
        rowKey={(row) => row.unit_id}
        onOpen={(row) => go(`/nodes/${row.unit_id}`)}
        minWidth="34rem"
        fill
      />
    </div>
  );
}
