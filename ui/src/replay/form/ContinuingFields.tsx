import { Field } from "../../parts/Field";
import type { FieldProps } from "./field";
import type { Policy } from "./form";
import styles from "./form.module.css";

const POLICIES: Readonly<Record<Policy, string>> = {
  strict: "recorded, same call only",
  recorded: "recorded, in their order",
  simulated: "else simulated by a model",
  live: "live: tools really run",
};

/** Whether the conversation goes on after the new answer, and where results of tools come from then. */
export function ContinuingFields({ form, set, problems }: FieldProps) {
  return (
    <section className={styles.group} aria-label="After the answer">
      <div className={styles.groupHead}>
        <h2>After the answer</h2>
        <label className={styles.checks}>
          <input
            type="checkbox"
            checked={form.goesOn}
            onChange={(event) => set({ goesOn: event.target.checked })}
          />{" "}
          go on along the recorded conversation
        </label>
      </div>
      {form.goesOn && (
        <>
          <div className={styles.row}>
            <Field label="Answers at most" hint="empty: to its end" problem={problems.turns} wide>
              <input
                inputMode="numeric"
                value={form.turns}
                onChange={(event) => set({ turns: event.target.value })}
              />
            </Field>
            <Field label="Results of tools" wide>
              <select value={form.policy} onChange={(event) => set({ policy: event.target.value as Policy })}>
                {Object.entries(POLICIES).map(([value, label]) => (
                  <option key={value} value={value}>
                    {label}
                  </option>
                ))}
              </select>
            </Field>
            <Field label="Toward the node" hint="empty: the longest path" wide>
              <input value={form.toward} onChange={(event) => set({ toward: event.target.value })} />
            </Field>
            <Field label="Model that simulates" hint="empty: the replayed model" wide>
              <input value={form.simulator} onChange={(event) => set({ simulator: event.target.value })} />
            </Field>
          </div>
          <Field
            label="Simulated user"
            hint="Prompt of a model that simulates the user where the recorded user turn no longer applies; empty: no simulated user."
            wide
          >
            <textarea
              rows={2}
              value={form.persona}
              onChange={(event) => set({ persona: event.target.value })}
            />
          </Field>
        </>
      )}
    </section>
  );
}
