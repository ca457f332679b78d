import { useVirtualizer } from "@tanstack/react-virtual";
import { type KeyboardEvent, type ReactNode, useEffect, useRef } from "react";
import { Button } from "./Button";
import styles from "./DataTable.module.css";
import { Icon } from "./Icon";
import { Loading } from "./Loading";

export type Column<Row> = {
  key: string;
  head: ReactNode;
  /** What the head is called where `head` is not a word. */
  name?: string;
  cell: (row: Row) => ReactNode;
  /** CSS width, such as `8rem` or `20%`; what is left where it is not given. */
  width?: string;
  align?: "start" | "end";
  sortable?: boolean;
};

export type Sort = { key: string; descending: boolean };

type Props<Row> = {
  /** What the rows are, for screen readers. */
  label: string;
  columns: readonly Column<Row>[];
  rows: readonly Row[];
  rowKey: (row: Row) => string;
  /** Opens a row: by Enter and by a click on it. */
  onOpen?: (row: Row) => void;
  sort?: Sort;
  onSort?: (sort: Sort) => void;
  /** Asked for when the end of the rows comes into sight; absent when there are no more. */
  loadMore?: () => void;
  /** How many rows there are in all, if that is known. */
  total?: number;
  /** Height of a row in pixels: rows are cut to it. */
  rowHeight?: number;
  /** How many rows before the end more are asked for. */
  ahead?: number;
  /** CSS width below which it scrolls to the side. */
  minWidth?: string;
  /** Whether it takes the height of what is around it and scrolls in itself; else it is as long as its rows. */
  fill?: boolean;
};

const OVERSCAN = 12;

/** A table of any length: only the rows in sight are in the page. Keys: arrows, j and k, Home, End, Enter. */
export function DataTable<Row>(props: Props<Row>) {
  const {
    label,
    columns,
    rows,
    rowKey,
    onOpen,
    sort,
    onSort,
    loadMore,
    total,
    rowHeight = 34,
    ahead = OVERSCAN,
    minWidth = leastWidth(props.columns),
    fill = false,
  } = props;
  const scroller = useRef<HTMLElement>(null);
  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => rowHeight,
    overscan: fill ? OVERSCAN : rows.length,
    enabled: fill,
  });
  const shown = fill
    ? virtual.getVirtualItems()
    : rows.map((_, index) => ({ index, start: index * rowHeight, end: 0 }));
  const first = shown[0]?.index ?? 0;
  const last = shown.at(-1)?.index ?? -1;
  useEffect(() => {
    if (loadMore && last >= rows.length - ahead) loadMore();
  }, [loadMore, last, rows.length, ahead]);

  const focusRow = (index: number) => {
    const wanted = Math.max(0, Math.min(rows.length - 1, index));
    if (fill) virtual.scrollToIndex(wanted);
    requestAnimationFrame(() =>
      scroller.current?.querySelector<HTMLElement>(`tr[data-index="${wanted}"]`)?.focus(),
    );
  };
  const onKey = (event: KeyboardEvent) => {
    const row = (event.target as HTMLElement).closest<HTMLElement>("tr[data-index]");
    if (!row || event.ctrlKey || event.altKey || event.metaKey || event.target !== row) return;
    const index = Number(row.dataset.index);
    const steps: Record<string, number> = {
      ArrowDown: 1,
      j: 1,
      ArrowUp: -1,
      k: -1,
      PageDown: 15,
      PageUp: -15,
      Home: -1e9,
      End: 1e9,
    };
    const step = steps[event.key];
    if (step !== undefined) focusRow(index + step);
    else if (event.key === "Enter" && onOpen && rows[index] !== undefined) onOpen(rows[index]);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };

  return (
    <section
      ref={scroller}
      className={fill ? styles.fill : styles.free}
      aria-label={label}
      // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard
      tabIndex={0}
    >
      <table
        className={styles.table}
        style={{ minWidth }}
        aria-rowcount={total ?? (loadMore ? -1 : rows.length + 1)}
        onKeyDown={onKey}
      >
        <colgroup>
          {columns.map((column) => (
            <col key={column.key} style={column.width ? { width: column.width } : undefined} />
          ))}
        </colgroup>
        <thead>
          <tr aria-rowindex={1}>
            {columns.map((column) => (
              <th
                key={column.key}
                scope="col"
                className={column.align === "end" ? styles.end : undefined}
                aria-sort={
                  sort?.key === column.key ? (sort.descending ? "descending" : "ascending") : undefined
                }
              >
                {column.sortable && onSort ? (
                  <SortButton column={column} sort={sort} onSort={onSort} />
                ) : (
                  column.head || <span className="visually-hidden">{column.name ?? column.key}</span>
                )}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          <Gap height={fill ? (shown[0]?.start ?? 0) : 0} columns={columns.length} />
          {rows.slice(first, last + 1).map((row, offset) => (
            <tr
              key={rowKey(row)}
              data-index={first + offset}
              aria-rowindex={first + offset + 2}
              tabIndex={first + offset === first ? 0 : -1}
              className={onOpen ? styles.opens : undefined}
              style={fill ? { height: rowHeight } : undefined}
              onClick={(event) => {
                if (!(event.target as HTMLElement).closest("a, button, input, label, select")) onOpen?.(row);
              }}
            >
              {columns.map((column) => (
                <td key={column.key} className={column.align === "end" ? styles.end : undefined}>
                  {column.cell(row)}
                </td>
              ))}
            </tr>
          ))}
          <Gap
            height={fill ? virtual.getTotalSize() - (virtual.getVirtualItems().at(-1)?.end ?? 0) : 0}
            columns={columns.length}
          />
        </tbody>
      </table>
      {loadMore && fill && <Loading what="next rows" />}
      {loadMore && !fill && <Button onClick={loadMore}>More</Button>}
    </section>
  );
}

/** So much that a column without a width has room beside those with one. Where there is less, the table scrolls. */
function leastWidth<Row>(columns: readonly Column<Row>[]): string {
  const widths = columns.map(({ width = "8rem" }) => (width.endsWith("rem") ? Number.parseFloat(width) : 0));
  return `max(40rem, ${widths.reduce((sum, width) => sum + width, 0)}rem)`;
}

function SortButton<Row>({
  column,
  sort,
  onSort,
}: {
  column: Column<Row>;
  sort?: Sort;
  onSort: (sort: Sort) => void;
}) {
  const sorted = sort?.key === column.key;
  const next = { key: column.key, descending: sorted ? !sort.descending : true };
  return (
    <button type="button" className={styles.sort} onClick={() => onSort(next)}>
      {column.head}
      {sorted && <Icon name={sort.descending ? "down" : "up"} size={12} />}
    </button>
  );
}

function Gap({ height, columns }: { height: number; columns: number }) {
  if (height <= 0) return null;
  return (
    <tr>
      <td colSpan={columns} style={{ height, padding: 0, border: 0 }} />
    </tr>
  );
}
