import { useState } from "react";
import { Link } from "wouter";
import { api, type Schema } from "../../api/client";
import { Chip } from "../../parts/Chip";
import { Failed } from "../../parts/Failed";
import { Icon } from "../../parts/Icon";
import { Loading } from "../../parts/Loading";
import { LongText } from "../../parts/LongText";
import { WordDiff } from "../../parts/WordDiff";
import styles from "./DifferencePage.module.css";
import { certificateText, rowText } from "./texts";

type Props = { row: Schema["DifferentRow"]; a: string; b: string };

/** A row that differs; opened, it shows what changed word by word. */
export function DifferentRow({ row, a, b }: Props) {
  const [open, setOpen] = useState(false);
  const shown = row.after ?? row.before;
  const moved = row.before && row.after && row.before.split !== row.after.split;
  return (
    <li className={styles.row}>
      <details onToggle={(event) => setOpen(event.currentTarget.open)}>
        <summary>
          <Icon name="right" size={12} />
          <span className="mono">{row.row_id.slice(0, 8)}</span>
          <span className={styles.cut}>{shown?.asked}</span>
          <span className={`${styles.cut} soft`}>{shown?.answer}</span>
          <Chip>{moved ? `${row.before?.split} → ${row.after?.split}` : shown?.split}</Chip>
        </summary>
        {open && <Inside row={row} a={a} b={b} />}
      </details>
    </li>
  );
}

function Inside({ row, a, b }: Props) {
  const before = useRow(a, row.row_id, row.before !== null);
  const after = useRow(b, row.row_id, row.after !== null);
  const error = before.error ?? after.error;
  if (error) return <Failed error={error} />;
  if ((row.before && !before.data) || (row.after && !after.data)) return <Loading what="row" />;
  const [old, now] = [rowText(before.data), rowText(after.data)];
  const figures = [certificateText(before.data), certificateText(after.data)];
  return (
    <div className={styles.inside}>
      {row.before && row.after && figures[0] !== figures[1] && (
        <div>
          <h3>Figures</h3>
          <WordDiff before={figures[0] ?? ""} after={figures[1] ?? ""} />
        </div>
      )}
      <div>
        <h3>Messages</h3>
        {old === now ? <p className="soft">They have the same content.</p> : null}
        {row.before && row.after ? (
          old !== now && <WordDiff before={old} after={now} />
        ) : (
          <LongText text={old || now} />
        )}
      </div>
      <p>
        {row.before && <Link href={`/datasets/${a}/rows/${row.row_id}`}>The row in the first</Link>}{" "}
        {row.after && <Link href={`/datasets/${b}/rows/${row.row_id}`}>The row in the second</Link>}
      </p>
    </div>
  );
}

function useRow(id: string, row: string, enabled: boolean) {
  return api.useQuery(
    "get",
    "/api/snapshots/{id}/rows/{row}",
    { params: { path: { id, row } } },
    { enabled },
  );
}
