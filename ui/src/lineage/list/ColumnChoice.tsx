import { Icon } from "../../parts/Icon";
import { toggled } from "../../parts/toggled";
import { COLUMNS } from "./columns";
import styles from "./list.module.css";

/** Which columns are shown, behind a button. */
export function ColumnChoice({
  chosen,
  onChange,
}: {
  chosen: readonly string[];
  onChange: (keys: string[]) => void;
}) {
  return (
    <details className={styles.columns}>
      <summary>
        <Icon name="list" />
        Columns
      </summary>
      <fieldset>
        <legend className="visually-hidden">Columns</legend>
        {COLUMNS.map((column) => (
          <label key={column.key} className={styles.choice}>
            <input
              type="checkbox"
              checked={chosen.includes(column.key)}
              disabled={column.key === "opening"}
              onChange={() => onChange(toggled(chosen, column.key))}
            />
            <span className={styles.label}>{column.label}</span>
          </label>
        ))}
      </fieldset>
    </details>
  );
}
