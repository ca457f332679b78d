import { percent } from "../../parts/format";
import { confusionOf, type Figures } from "./judges";
import styles from "./judges.module.css";

const STEPS = 5;

/** How often people and a judge gave which labels: people by row. Where they agree is framed. */
export function Confusion({ figures }: { figures: Figures }) {
  const { labels, rows } = confusionOf(figures);
  const names = figures.task === "preference" ? { a: "A", b: "B" } : {};
  const named = (label: string) => (names as Record<string, string>)[label] ?? label;
  return (
    <table className={styles.confusion}>
      <caption>
        People (rows) and the judge (columns), {figures.items} items
        {figures.task === "preference" && ". A is the side of the smaller id"}
      </caption>
      <thead>
        <tr>
          <th scope="col">people</th>
          {labels.map((label) => (
            <th key={label} scope="col">
              {named(label)}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {rows.map(({ label, counts, total }) => (
          <tr key={label}>
            <th scope="row">{named(label)}</th>
            {counts.map((count, index) => (
              <td
                key={labels[index]}
                data-step={total ? Math.round((STEPS * count) / total) : 0}
                data-same={labels[index] === label}
                title={`${percent(total ? count / total : null)} of what people call ${named(label)}`}
              >
                {count}
              </td>
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  );
}
