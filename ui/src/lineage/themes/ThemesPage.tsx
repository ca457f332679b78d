import { useState } from "react";
import { Link, useLocation } from "wouter";
import { api, type Schema } from "../../api/client";
import { Button } from "../../parts/Button";
import { type Column, DataTable } from "../../parts/DataTable";
import { Empty } from "../../parts/Empty";
import { ExportButtons } from "../../parts/ExportButtons";
import { Failed } from "../../parts/Failed";
import { count, counted, figure, percent } from "../../parts/format";
import { Loading } from "../../parts/Loading";
import { Page } from "../../parts/Page";
import { Time } from "../../parts/Time";
import { useNarrow } from "../../parts/useNarrow";
import { useIsAdmin } from "../../shell/session";
import { ThemeDialog } from "./ThemeDialog";
import styles from "./themes.module.css";

type ThemeRow = Schema["ThemeFigures"];

const EXPORTED = [
  ...[
    "name",
    "description",
    "sessions",
    "turns",
    "errors",
    "replays",
    "judged",
    "reward",
    "last_turn_at",
    "scope",
  ],
];
const NARROW = ["name", "sessions", "reward"];

/** Themes with what their sessions come to. Admins rename, merge and describe them. */
export default function ThemesPage() {
  const [, go] = useLocation();
  const [changed, setChanged] = useState<ThemeRow>();
  const admin = useIsAdmin();
  const narrow = useNarrow();
  const { data, error, refetch } = api.useQuery("get", "/api/themes/figures");
  const themes = data?.themes;
  const tenants = new Set(themes?.map((one) => one.scope).filter(Boolean)).size > 1;
  const columns = columnsOf(admin ? setChanged : undefined, tenants);
  return (
    <Page
      title="Themes"
      about={
        themes && (
          <>
            {counted(themes.filter((one) => one.theme_id).length, "theme")}. Calls name theirs by the header{" "}
            <code>X-Regraft-Theme</code>.
          </>
        )
      }
      actions={
        themes?.length ? <ExportButtons name="themes" columns={EXPORTED} rows={() => themes} /> : undefined
      }
    >
      {error ? (
        <Failed error={error} retry={() => void refetch()} />
      ) : !themes ? (
        <Loading what="themes" />
      ) : themes.length === 0 ? (
        <Empty title="No session has a theme yet">
          <p>A client names the theme of its calls, or an import does for a whole file:</p>
          <pre>
            <code>
              {'extra_headers={"X-Regraft-Theme": "billing"}\nregraft import talks.jsonl --theme billing'}
            </code>
          </pre>
        </Empty>
      ) : (
        <DataTable
          label="Themes"
          columns={narrow ? columns.filter((one) => NARROW.includes(one.key)) : columns}
          rows={themes}
          rowKey={(row) => row.theme_id ?? ""}
          onOpen={(row) => go(sessionsOf(row))}
          minWidth={narrow ? "0" : "52rem"}
        />
      )}
      {changed && (
        <ThemeDialog
          theme={changed}
          others={themes ?? []}
          onClose={() => setChanged(undefined)}
          onDone={() => void refetch()}
        />
      )}
    </Page>
  );
}

function sessionsOf(row: ThemeRow): string {
  return `/sessions?theme=${encodeURIComponent(row.name)}`;
}

function columnsOf(change: ((row: ThemeRow) => void) | undefined, tenants: boolean): Column<ThemeRow>[] {
  const columns: (Column<ThemeRow> | false)[] = [
    {
      key: "name",
      head: "Theme",
      width: "11rem",
      cell: (row) => <Link href={sessionsOf(row)}>{row.name || "No theme"}</Link>,
    },
    {
      key: "description",
      head: "About",
      cell: (row) => (
        <span className="soft" title={row.description}>
          {row.description}
        </span>
      ),
    },
    tenants && { key: "scope", head: "Tenant", width: "8rem", cell: (row: ThemeRow) => row.scope },
    { key: "sessions", head: "Sessions", width: "5.5rem", align: "end", cell: (row) => count(row.sessions) },
    { key: "turns", head: "Turns", width: "5rem", align: "end", cell: (row) => count(row.turns) },
    {
      key: "errors",
      head: "With errors",
      width: "7rem",
      align: "end",
      cell: (row) => <span title={counted(row.errors, "session")}>{percent(row.errors / row.sessions)}</span>,
    },
    { key: "replays", head: "Replayed", width: "6rem", align: "end", cell: (row) => count(row.replays) },
    {
      key: "reward",
      head: "Outcome",
      width: "5.5rem",
      align: "end",
      cell: (row) => <span title={`of ${counted(row.judged, "session")}`}>{figure(row.reward)}</span>,
    },
    { key: "last", head: "Last turn", width: "8.5rem", cell: (row) => <Time at={row.last_turn_at} /> },
    change !== undefined && {
      key: "change",
      head: <span className="visually-hidden">Change</span>,
      width: "7rem",
      align: "end" as const,
      cell: (row: ThemeRow) =>
        row.theme_id && (
          <Button kind="quiet" className={styles.change} onClick={() => change(row)}>
            Change<span className="visually-hidden"> {row.name}</span>
          </Button>
        ),
    },
  ];
  return columns.filter((one) => one !== false);
}
