import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { Link } from "wouter";
import { client, type Schema } from "../../api/client";
import { sentence } from "../../api/problem";
import { counted, figure, percent, shortId } from "../../parts/format";
import styles from "./TurnPanel.module.css";
import type { Tree } from "./useTree";

type Props = { node: Schema["Node"]; tree: Tree; onGo: (node: string) => void };

/** Where a node leads: sessions it started or was started by, rows that hold it, the value of its answers, like paths. */
export function NodeLinks({ node, tree, onGo }: Props) {
  const links = tree.shape.links.filter((link) => link.node_id === node.node_id);
  const values = tree.values.filter((value) => value.node_id === node.node_id);
  return (
    <>
      {links.length > 0 && (
        <section className={styles.stack}>
          <h2>Linked sessions</h2>
          <ul className={styles.list}>
            {links.map((link) => (
              <li key={`${link.way} ${link.session_id} ${link.evidence}`}>
                {link.way === "starts" ? "starts " : "was started by "}
                <Link href={`/sessions/${link.session_id}?node=${link.other_node_id}`}>
                  session {shortId(link.session_id)}
                </Link>{" "}
                <span className="soft">known by {link.evidence.replaceAll("_", " ")}</span>
              </li>
            ))}
          </ul>
        </section>
      )}
      {values.length > 0 && (
        <section className={styles.stack}>
          <h2>Value</h2>
          <ul className={styles.list}>
            {values.map((value) => (
              <li key={value.source}>
                {value.mean !== null &&
                  `${percent(value.mean)} by ${value.source}, from ${counted(value.leaves, "leaf", "leaves")}`}
                {value.spread !== null &&
                  `${value.mean === null ? "" : " · "}a pivot by ${value.source}: its answers differ by ${figure(value.spread)}`}
              </li>
            ))}
          </ul>
        </section>
      )}
      {node.snapshots.length > 0 && (
        <section className={styles.stack}>
          <h2>In datasets</h2>
          <ul className={styles.list}>
            {node.snapshots.map((row) => (
              <li key={`${row.snapshot_id} ${row.row_id} ${row.part}`}>
                <Link href={`/datasets/${row.snapshot_id}/rows/${row.row_id}`}>
                  {row.snapshot_id}, row {shortId(row.row_id)}
                </Link>{" "}
                <span className="soft">as {row.part}</span>
              </li>
            ))}
          </ul>
        </section>
      )}
      <Similar node={node.node_id} onGo={onGo} />
    </>
  );
}

/** Paths near in meaning, looked for when opened. */
function Similar({ node, onGo }: { node: string; onGo: (node: string) => void }) {
  const [open, setOpen] = useState(false);
  const { data, error, isFetching } = useQuery({
    queryKey: ["similar", node],
    queryFn: async () =>
      (await client.GET("/api/nodes/{id}/similar", { params: { path: { id: node }, query: { limit: 10 } } }))
        .data,
    enabled: open,
    retry: false,
  });
  return (
    <details className={styles.fold} onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>Similar paths</summary>
      {open && error ? <p className="soft">{sentence(error)}</p> : null}
      {open && isFetching && <p className="soft">Looking …</p>}
      {open && data?.items.length === 0 && <p className="soft">No other path is known.</p>}
      <ul className={styles.list}>
        {data?.items.map((item) => (
          <li key={item.unit_id}>
            <button type="button" className={styles.plain} onClick={() => onGo(item.unit_id)}>
              {item.asked || item.answer_text || shortId(item.unit_id)}
            </button>{" "}
            <span className="soft">
              {percent(item.similarity)} · {item.model}
            </span>
          </li>
        ))}
      </ul>
    </details>
  );
}
