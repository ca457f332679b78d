import { useState } from "react";
import type { Schema } from "../../api/client";
import { Field } from "../../parts/Field";
import { count } from "../../parts/format";
import { KindMark } from "../../parts/KindMark";
import { toggled } from "../../parts/toggled";
import type { Filter, Outcome } from "./filter";
import styles from "./list.module.css";

type Props = {
  filter: Filter;
  facets: Schema["Facets"] | undefined;
  onChange: (filter: Filter) => void;
};

const SHOWN = 7;
const OUTCOMES: readonly [Outcome, string][] = [
  ["low", "Low, to 0.25"],
  ["middle", "Middle"],
  ["high", "High, from 0.75"],
  ["none", "Not known"],
];

/** What sessions can be narrowed down to, each with how many there would be. */
export function Facets({ filter, facets, onChange }: Props) {
  const counts = new Map(
    facets?.facets.map((one) => [one.name, new Map(one.values.map((each) => [each.value, each.sessions]))]),
  );
  const list = (
    name: "theme" | "model" | "kind" | "purpose",
    title: string,
    label?: (value: string) => string,
  ) => (
    <Choices
      title={title}
      values={counts.get(name)}
      chosen={filter[name]}
      onToggle={(value) => onChange({ ...filter, [name]: toggled(filter[name], value) })}
      label={label}
      kinds={name === "kind"}
    />
  );
  const flag = (name: "errors" | "replays", title: string, yes: string, no: string) => (
    <Choices
      title={title}
      values={counts.get(name)}
      order={["true", "false"]}
      chosen={filter[name] ? [filter[name]] : []}
      onToggle={(value) => onChange({ ...filter, [name]: filter[name] === value ? "" : (value as "true") })}
      label={(value) => (value === "true" ? yes : no)}
    />
  );
  const side = counts.get("side");
  return (
    <div className={styles.facets}>
      {list("theme", "Theme", (value) => value || "No theme")}
      {list("model", "Model", (value) => value || "No name")}
      <Choices
        title="Outcome"
        values={counts.get("outcome")}
        order={OUTCOMES.map(([value]) => value)}
        chosen={filter.outcome ? [filter.outcome] : []}
        onToggle={(value) =>
          onChange({ ...filter, outcome: filter.outcome === value ? "" : (value as Outcome) })
        }
        label={(value) => OUTCOMES.find(([one]) => one === value)?.[1] ?? value}
      />
      {list("kind", "Branches")}
      {flag("errors", "Errors", "With errors", "Without")}
      {flag("replays", "Replays", "Replayed", "Never replayed")}
      <fieldset className={styles.group}>
        <legend>Last turn</legend>
        <div className={styles.days}>
          <Field label="From">
            <input
              type="date"
              value={filter.since}
              onChange={(event) => onChange({ ...filter, since: event.target.value })}
            />
          </Field>
          <Field label="To">
            <input
              type="date"
              value={filter.until}
              onChange={(event) => onChange({ ...filter, until: event.target.value })}
            />
          </Field>
        </div>
      </fieldset>
      {list("purpose", "Purpose")}
      <fieldset className={styles.group}>
        <legend>Side calls</legend>
        {(
          [
            ["", "Leave out", side?.get("false")],
            ["all", "Show too", undefined],
            ["only", "Only these", side?.get("true")],
          ] as const
        ).map(([value, label, sessions]) => (
          <label key={value} className={styles.choice}>
            <input
              type="radio"
              name="side"
              checked={filter.side === value}
              onChange={() => onChange({ ...filter, side: value })}
            />
            <span className={styles.label}>{label}</span>
            {sessions !== undefined && <span className={styles.count}>{count(sessions)}</span>}
          </label>
        ))}
      </fieldset>
    </div>
  );
}

type ChoicesProps = {
  title: string;
  values: ReadonlyMap<string, number> | undefined;
  order?: readonly string[];
  chosen: readonly string[];
  onToggle: (value: string) => void;
  label?: (value: string) => string;
  kinds?: boolean;
};

function Choices({ title, values, order, chosen, onToggle, label = (value) => value, kinds }: ChoicesProps) {
  const [all, setAll] = useState(false);
  const known = order ? order.filter((one) => values?.has(one)) : [...(values?.keys() ?? [])];
  const every = [...known, ...chosen.filter((one) => !known.includes(one))];
  const shown = all ? every : every.filter((one, at) => at < SHOWN || chosen.includes(one));
  // What all sessions have alike narrows nothing down.
  if (every.length === 0 || (order && every.length < 2 && chosen.length === 0)) return null;
  return (
    <fieldset className={styles.group}>
      <legend>{title}</legend>
      {shown.map((value) => (
        <label key={value} className={styles.choice}>
          <input type="checkbox" checked={chosen.includes(value)} onChange={() => onToggle(value)} />
          <span className={styles.label} title={label(value)}>
            {kinds ? <KindMark kind={value} /> : label(value)}
          </span>
          <span className={styles.count}>{values?.has(value) ? count(values.get(value) ?? 0) : "0"}</span>
        </label>
      ))}
      {every.length > SHOWN && (
        <button type="button" className={styles.more} onClick={() => setAll(!all)}>
          {all ? "Fewer" : `${every.length - SHOWN} more`}
        </button>
      )}
    </fieldset>
  );
}
