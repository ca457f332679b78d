import type { Schema } from "../../api/client";
import { Chip } from "../../parts/Chip";
import { Time } from "../../parts/Time";
import styles from "./Judgements.module.css";
import { said, who } from "./judged";

/** What people, clients and judges said of the nodes of a row, as it counts today. */
export function Judgements({ row }: { row: Schema["SnapshotRowDetail"] }) {
  return (
    <section className={styles.judgements} aria-labelledby="judged">
      <h2 id="judged">Judgements</h2>
      {row.judgements.length === 0 ? (
        <p className="soft">
          It has no judgement. Measured signals decided, or the recipe needs no judgement.
        </p>
      ) : (
        <ul className={styles.list}>
          {row.judgements.map((one, index) => (
            <li key={index}>
              <div className={styles.line}>
                <b>{one.name}</b>
                <span>{said(one, row)}</span>
                <span className="soft">by {who(one)}</span>
                {one.given_by === "model" && <Chip>model</Chip>}
                <span className={styles.at}>
                  <Time at={one.given_at} />
                </span>
              </div>
              {one.categories.length > 0 && (
                <div className={styles.line}>
                  {one.categories.map((category) => (
                    <Chip key={category}>{category}</Chip>
                  ))}
                </div>
              )}
              {one.note && <p className="soft">{one.note}</p>}
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}
