import { api } from "../../api/client";
import { Field } from "../../parts/Field";
import { toggled } from "../../parts/toggled";
import { toolNames } from "./brief";
import type { FieldProps } from "./field";
import styles from "./form.module.css";

/** Tools of the first context that are taken away, and others that are added. */
export function ToolFields({ form, set, problems }: FieldProps) {
  const first = form.nodes[0];
  const { data } = api.useQuery(
    "get",
    "/api/nodes/{id}",
    { params: { path: { id: first ?? "" }, query: { limit: 1 } } },
    { enabled: first !== undefined },
  );
  const recorded = toolNames(data?.tools);
  const names = [...recorded, ...form.withoutTools.filter((name) => !recorded.includes(name))];
  return (
    <details className={styles.group} open={names.length > 0 || form.tools !== ""}>
      <summary>
        <h2>Tools</h2>
        <span className="soft">
          {names.length === 0 ? "none were offered to the model" : "press one to take it away"}
        </span>
      </summary>
      {names.length > 0 && (
        <div className={styles.choices}>
          {names.map((name) => {
            const gone = form.withoutTools.includes(name);
            return (
              <button
                key={name}
                type="button"
                className={styles.choice}
                aria-pressed={!gone}
                title={gone ? `${name} is taken away` : `${name} is offered`}
                onClick={() => set({ withoutTools: toggled(form.withoutTools, name) })}
              >
                {gone ? <s>{name}</s> : name}
              </button>
            );
          })}
        </div>
      )}
      <Field
        label="Tools to add, as JSON"
        hint="One of a known name replaces it."
        problem={problems.tools}
        wide
      >
        <textarea
          rows={3}
          className="mono"
          spellCheck={false}
          placeholder={'[{"name": "search", "description": "…", "parameters": {"type": "object"}}]'}
          value={form.tools}
          onChange={(event) => set({ tools: event.target.value })}
        />
      </Field>
    </details>
  );
}
