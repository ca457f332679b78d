import { Icon } from "../../parts/Icon";
import { markOf } from "../../parts/kinds";
import { toggled } from "../../parts/toggled";
import { cleared, type Filter } from "./filter";
import styles from "./list.module.css";

type Part = { label: string; without: Filter };

/** Every condition of a filter as a chip that takes it out. */
export function FilterChips({ filter, onChange }: { filter: Filter; onChange: (filter: Filter) => void }) {
  const parts = partsOf(filter);
  if (parts.length === 0) return null;
  return (
    <ul className={styles.chips} aria-label="Filters of the list">
      {parts.map((part) => (
        <li key={part.label}>
          <button type="button" className={styles.chip} onClick={() => onChange(part.without)}>
            <span>{part.label}</span>
            <Icon name="close" size={10} />
            <span className="visually-hidden">take out</span>
          </button>
        </li>
      ))}
      {parts.length > 1 && (
        <li>
          <button type="button" className={styles.more} onClick={() => onChange(cleared(filter))}>
            Take out all
          </button>
        </li>
      )}
    </ul>
  );
}

function partsOf(filter: Filter): Part[] {
  const parts: Part[] = [];
  if (filter.text) parts.push({ label: `“${filter.text}”`, without: { ...filter, text: "" } });
  for (const name of ["theme", "model", "kind", "purpose"] as const) {
    for (const value of filter[name]) {
      const shown = name === "kind" ? markOf(value).label : value || "none";
      parts.push({
        label: `${name}: ${shown}`,
        without: { ...filter, [name]: toggled(filter[name], value) },
      });
    }
  }
  const flags = {
    errors: ["without errors", "with errors"],
    replays: ["never replayed", "replayed"],
  } as const;
  for (const name of ["errors", "replays"] as const) {
    if (filter[name])
      parts.push({ label: flags[name][filter[name] === "true" ? 1 : 0], without: { ...filter, [name]: "" } });
  }
  if (filter.outcome)
    parts.push({
      label: filter.outcome === "none" ? "outcome not known" : `outcome: ${filter.outcome}`,
      without: { ...filter, outcome: "" },
    });
  if (filter.since) parts.push({ label: `from ${filter.since}`, without: { ...filter, since: "" } });
  if (filter.until) parts.push({ label: `to ${filter.until}`, without: { ...filter, until: "" } });
  if (filter.side)
    parts.push({
      label: filter.side === "all" ? "with side calls" : "only side calls",
      without: { ...filter, side: "" },
    });
  return parts;
}
