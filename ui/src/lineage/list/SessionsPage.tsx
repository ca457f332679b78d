import { useMemo, useState } from "react";
import { useLocation, useSearchParams } from "wouter";
import { Button } from "../../parts/Button";
import { DataTable } from "../../parts/DataTable";
import { Dialog } from "../../parts/Dialog";
import { Empty } from "../../parts/Empty";
import { Failed } from "../../parts/Failed";
import { counted } from "../../parts/format";
import { Loading } from "../../parts/Loading";
import { Page } from "../../parts/Page";
import { useShortcuts } from "../../parts/shortcuts";
import { useNarrow } from "../../parts/useNarrow";
import { useUrlState } from "../../parts/useUrlState";
import { ColumnChoice } from "./ColumnChoice";
import { COLUMNS, FEWER, NARROW, USUAL, widthOf } from "./columns";
import { Facets } from "./Facets";
import { FilterChips } from "./FilterChips";
import {
  cleared,
  exportAddress,
  type Filter,
  filterOf,
  isNarrowed,
  type SortKey,
  withFilter,
} from "./filter";
import styles from "./list.module.css";
import { NoSessions } from "./NoSessions";
import { SearchBox } from "./SearchBox";
import { useFacets, useSessions } from "./useSessions";

/** Conversations: searched, narrowed down, sorted, opened, exported. All of it is in the address. */
export default function SessionsPage() {
  const [, go] = useLocation();
  const [search, setSearch] = useSearchParams();
  const filter = useMemo(() => filterOf(search), [search]);
  const narrow = useNarrow();
  const medium = useNarrow(1500);
  const [columns, setColumns] = useUrlState("columns");
  const [sheet, setSheet] = useState(false);
  const list = useSessions(filter);
  const { data: facets } = useFacets(filter);
  const rows = useMemo(() => list.data?.pages.flatMap((page) => page.sessions) ?? [], [list.data]);

  const change = (next: Filter) => setSearch((old) => withFilter(old, next), { replace: false });
  const chosen = columns ? columns.split(",") : medium ? FEWER : USUAL;
  const shown = narrow ? NARROW : COLUMNS.filter((column) => chosen.includes(column.key));
  const nothing = facets?.every === 0 && rows.length === 0;
  useShortcuts("Sessions", [
    {
      keys: "j | ArrowDown",
      does: "Go to the list; then j and k, Enter opens",
      run: () => document.querySelector<HTMLElement>("tr[data-index]")?.focus(),
    },
  ]);

  const total = facets && `${facets.estimated ? "about " : ""}${counted(facets.total, "session")}`;
  const cut = list.data?.pages[0]?.cut;
  const panel = <Facets filter={filter} facets={facets} onChange={change} />;
  return (
    <Page
      title="Sessions"
      full
      about={
        <span aria-live="polite">
          {total ?? " "}
          {facets && facets.total !== facets.every && ` of ${facets.every.toLocaleString("en")}`}
          {cut && " in the messages searched; there are more: add words"}
          {filter.sort === "reward" && ", those with a known outcome"}
        </span>
      }
      actions={
        <>
          {!narrow && <ColumnChoice chosen={chosen} onChange={(keys) => setColumns(keys.join(","))} />}
          <a className={styles.file} href={exportAddress(filter, "csv")} download>
            CSV
          </a>
          <a className={styles.file} href={exportAddress(filter, "jsonl")} download>
            JSONL
          </a>
        </>
      }
    >
      <div className={styles.bar}>
        <SearchBox text={filter.text} onSearch={(text) => change({ ...filter, text })} />
        {narrow && (
          <Button icon="filter" onClick={() => setSheet(true)}>
            Filter
          </Button>
        )}
        <FilterChips filter={filter} onChange={change} />
      </div>
      <div className={styles.body}>
        {list.error ? (
          <Failed error={list.error} retry={() => void list.refetch()} />
        ) : list.isPending || (nothing && !facets) ? (
          <Loading what="sessions" />
        ) : nothing ? (
          <NoSessions />
        ) : rows.length === 0 ? (
          <Empty title="No matching sessions">
            <p>
              {isNarrowed(filter) ? "Remove a filter, or search for other words." : "All are side calls."}
            </p>
            <Button onClick={() => change(isNarrowed(filter) ? cleared(filter) : { ...filter, side: "all" })}>
              {isNarrowed(filter) ? "Remove all filters" : "Show side calls"}
            </Button>
          </Empty>
        ) : (
          <DataTable
            label="Sessions"
            columns={shown}
            rows={rows}
            rowKey={(row) => row.session_id}
            onOpen={(row) => go(`/sessions/${row.session_id}`)}
            sort={{ key: filter.sort, descending: filter.descending }}
            onSort={(sort) => change({ ...filter, sort: sort.key as SortKey, descending: sort.descending })}
            loadMore={
              list.hasNextPage ? () => !list.isFetchingNextPage && void list.fetchNextPage() : undefined
            }
            total={facets && !facets.estimated ? facets.total + 1 : undefined}
            ahead={150}
            minWidth={narrow ? "0" : widthOf(shown)}
            rowHeight={narrow ? 54 : 34}
            fill
          />
        )}
        {!narrow && !nothing && (
          <aside className={styles.aside} aria-label="Narrow down">
            {panel}
          </aside>
        )}
      </div>
      <Dialog title="Narrow down" open={sheet} onClose={() => setSheet(false)}>
        {sheet && panel}
      </Dialog>
    </Page>
  );
}
