import { useState } from "react";
import { Button } from "../../parts/Button";
import { Chip } from "../../parts/Chip";
import { counted, shortId } from "../../parts/format";
import type { FieldProps } from "./field";
import styles from "./form.module.css";
import { nodesIn } from "./formParams";
import { NodeCard } from "./NodeCard";

const SHOWN = 3;

/** The chosen nodes with what was asked there and answered; others can be added by their ids. */
export function NodesShown({ form, set, found }: FieldProps & { found: readonly string[] | undefined }) {
  const [all, setAll] = useState(false);
  const chosen = form.nodes.length > 0 ? form.nodes : (found ?? []);
  const shown = all ? chosen.slice(0, 50) : chosen.slice(0, SHOWN);
  const conditions = [
    ...(form.pivot ? ["pivots, the heaviest first"] : []),
    ...form.sessions.map((name) => `session ${name.length > 30 ? shortId(name) : name}`),
    ...form.themes.map((name) => `theme ${name}`),
  ];
  return (
    <section className={styles.group} aria-label="Nodes">
      <div className={styles.groupHead}>
        <h2>{chosen.length > 0 ? counted(chosen.length, "context") : "Contexts"}</h2>
        {form.nodes.length === 0 &&
          conditions.map((words) => (
            <Chip key={words} tone="accent">
              {words}
            </Chip>
          ))}
      </div>
      {shown.length > 0 && (
        <ul className={styles.nodes}>
          {shown.map((node) => (
            <NodeCard
              key={node}
              node={node}
              onRemove={
                form.nodes.length > 1
                  ? () => set({ nodes: form.nodes.filter((one) => one !== node) })
                  : undefined
              }
            />
          ))}
        </ul>
      )}
      {chosen.length > shown.length && (
        <Button kind="quiet" icon="down" onClick={() => setAll(true)}>
          {counted(chosen.length - shown.length, "more context")}
        </Button>
      )}
      {form.nodes.length === 0 && conditions.length > 0 && (
        <label className={styles.inline}>
          At most{" "}
          <input
            className={styles.short}
            inputMode="numeric"
            value={form.limit}
            onChange={(event) => set({ limit: event.target.value })}
          />{" "}
          contexts
        </label>
      )}
      <AddNodes form={form} set={set} open={chosen.length === 0 && conditions.length === 0} />
    </section>
  );
}

function AddNodes({ form, set, open }: Pick<FieldProps, "form" | "set"> & { open: boolean }) {
  const [text, setText] = useState("");
  const ids = nodesIn(text);
  const add = () => {
    set({ nodes: [...new Set([...form.nodes, ...ids])] });
    setText("");
  };
  return (
    <details className={styles.fold} open={open}>
      <summary>Add contexts by id</summary>
      <div className={styles.addRow}>
        <input
          aria-label="Ids of nodes"
          placeholder="ids of nodes, or their first digits"
          value={text}
          onChange={(event) => setText(event.target.value)}
          onKeyDown={(event) => {
            if (event.key === "Enter" && ids.length > 0) {
              event.preventDefault();
              add();
            }
          }}
        />
        <Button icon="plus" disabled={ids.length === 0} onClick={add}>
          Add
        </Button>
        {!form.pivot && form.nodes.length === 0 && (
          <Button icon="pivot" onClick={() => set({ pivot: true })}>
            Take the heaviest pivots
          </Button>
        )}
      </div>
    </details>
  );
}
