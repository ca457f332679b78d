import { Field } from "../../parts/Field";
import { NumberInput } from "../../parts/NumberInput";
import type { FieldProps } from "./field";
import styles from "./form.module.css";

/** How fast it runs, what it may take, and what is asked again. */
export function LimitFields({ form, set, problems }: FieldProps) {
  return (
    <section className={styles.group} aria-label="Limits">
      <div className={styles.groupHead}>
        <h2>Limits</h2>
      </div>
      <div className={styles.row}>
        <Field label="Calls at once" problem={problems.concurrency} wide>
          <NumberInput
            min={1}
            max={64}
            value={form.concurrency}
            onValue={(concurrency) => set({ concurrency })}
          />
        </Field>
        <Field label="Tokens at most" problem={problems.budgetTokens} wide>
          <input
            inputMode="numeric"
            placeholder="no limit"
            value={form.budgetTokens}
            onChange={(event) => set({ budgetTokens: event.target.value })}
          />
        </Field>
        <Field label="Money at most" problem={problems.budgetMoney} wide>
          <input
            inputMode="decimal"
            placeholder="no limit"
            value={form.budgetMoney}
            onChange={(event) => set({ budgetMoney: event.target.value })}
          />
        </Field>
        <Field label="Name of the plan" wide>
          <input
            placeholder="optional"
            maxLength={200}
            value={form.name}
            onChange={(event) => set({ name: event.target.value })}
          />
        </Field>
      </div>
      <div className={styles.checks}>
        <label>
          <input
            type="checkbox"
            checked={form.again}
            onChange={(event) => set({ again: event.target.checked })}
          />{" "}
          ask again what has an answer already
        </label>
        <label>
          <input
            type="checkbox"
            checked={form.sideCalls}
            onChange={(event) => set({ sideCalls: event.target.checked })}
          />{" "}
          include clients' side calls (titles, tags)
        </label>
      </div>
    </section>
  );
}
