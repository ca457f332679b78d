import { type KeyboardEvent, useState } from "react";
import { api } from "../../api/client";
import { Button } from "../../parts/Button";
import { Field } from "../../parts/Field";
import { NumberInput } from "../../parts/NumberInput";
import { toggled } from "../../parts/toggled";
import type { FieldProps } from "./field";
import styles from "./form.module.css";

const LISTS = [
  { name: "temperatures", label: "Temperatures", example: "0.2, 0.7, 1.0" },
  { name: "topPs", label: "Top p", example: "0.9, 1" },
  { name: "seeds", label: "Seeds", example: "1, 2" },
  { name: "maxTokens", label: "Longest answers", example: "256, 1024" },
] as const;

/** Models and sampling: each value is tried with each of the others. */
export function SamplingFields({ form, set, problems }: FieldProps) {
  return (
    <section className={styles.group} aria-label="Models and sampling">
      <div className={styles.groupHead}>
        <h2>Models and sampling</h2>
        <span className="soft">each value with each of the others; empty: as it was recorded</span>
      </div>
      <Models form={form} set={set} />
      <div className={styles.row}>
        {LISTS.map(({ name, label, example }) => (
          <Field key={name} label={label} problem={problems[name]} wide>
            <input
              value={form[name]}
              placeholder={example}
              inputMode="decimal"
              onChange={(event) => set({ [name]: event.target.value })}
            />
          </Field>
        ))}
        <Field label="Samples of each" problem={problems.samples} wide>
          <NumberInput min={1} max={1000} value={form.samples} onValue={(samples) => set({ samples })} />
        </Field>
      </div>
    </section>
  );
}

function Models({ form, set }: Pick<FieldProps, "form" | "set">) {
  const { data, isPending } = api.useQuery("get", "/api/models", {}, { staleTime: 60_000, retry: false });
  const [other, setOther] = useState("");
  const offered = data?.models.map((model) => model.name) ?? [];
  const known = ["", ...offered.slice(0, 30)];
  const names = [...known, ...form.models.filter((name) => !known.includes(name))];
  const chosen = form.models.length > 0 ? form.models : [""];
  const choose = (name: string) => {
    const next = toggled(chosen, name);
    set({ models: next.length === 1 && next[0] === "" ? [] : next });
  };
  const add = () => {
    const name = other.trim();
    if (name && !chosen.includes(name))
      set({ models: form.models.length > 0 ? [...form.models, name] : [name] });
    setOther("");
  };
  const onKey = (event: KeyboardEvent) => {
    if (event.key !== "Enter" || !other.trim()) return;
    event.preventDefault();
    event.stopPropagation();
    add();
  };
  return (
    <fieldset className={styles.models}>
      <legend>Models</legend>
      {names.map((name) => (
        <button
          key={name}
          type="button"
          className={styles.choice}
          aria-pressed={chosen.includes(name)}
          onClick={() => choose(name)}
        >
          {name || "as recorded"}
        </button>
      ))}
      <span className={styles.otherModel}>
        <input
          aria-label="Another model"
          placeholder={isPending ? "loading …" : "another model"}
          list="replay-models"
          value={other}
          onChange={(event) => setOther(event.target.value)}
          onKeyDown={onKey}
        />
        <datalist id="replay-models">
          {offered.slice(30).map((name) => (
            <option key={name} value={name} />
          ))}
        </datalist>
        <Button icon="plus" disabled={!other.trim()} onClick={add}>
          Add
        </Button>
      </span>
      {data?.problem && <small className={styles.note}>{data.problem}</small>}
    </fieldset>
  );
}
