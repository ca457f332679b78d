import type { Schema } from "../../api/client";
import { percent } from "../../parts/format";
import styles from "./cluster.module.css";

type Found = Schema["OverRepresentation"];

/** What is more frequent in a cluster than elsewhere. */
export function OverRepresented({ found }: { found: readonly Found[] }) {
  if (found.length === 0) return null;
  return (
    <section>
      <h2>More frequent here</h2>
      <table className={styles.small}>
        <thead>
          <tr>
            <th scope="col">What</th>
            <th scope="col">Here</th>
            <th scope="col">Elsewhere</th>
            <th scope="col">Lift</th>
          </tr>
        </thead>
        <tbody>
          {found.slice(0, 10).map((one) => (
            <tr
              key={`${one.feature} ${one.value}`}
              title={`p = ${one.p.toPrecision(2)} (Fisher's exact test)`}
            >
              <th scope="row">
                <span className="soft">{one.feature}</span> {one.value}
              </th>
              <td>{percent(one.here)}</td>
              <td>{percent(one.elsewhere)}</td>
              <td>{one.lift === null ? "only here" : `×${one.lift.toFixed(1)}`}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}
