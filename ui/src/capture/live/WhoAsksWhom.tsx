import { count, taken } from "../../parts/format";
import { type Edge, layoutOf, type Place } from "./calls";
import styles from "./live.module.css";

const ROW = 30;
const WIDTH = 420;
const LEFT = 150;
const RIGHT = WIDTH - 150;

type Props = {
  edges: readonly Edge[];
  selected: string;
  onSelect: (key: string) => void;
};

/** Callers and the models that they asked: drawn, and as a list whose rows narrow the table down. */
export function WhoAsksWhom({ edges, selected, onSelect }: Props) {
  const { callers, models, lines, height, hidden } = layoutOf(edges, ROW);
  return (
    <div className={styles.who}>
      <svg
        className={styles.graph}
        viewBox={`0 0 ${WIDTH} ${height}`}
        role="img"
        aria-label="Clients and models; the list next to it has the same content"
      >
        {lines.map((line) => (
          <path
            key={line.key}
            d={`M${LEFT} ${line.from} C${WIDTH / 2} ${line.from} ${WIDTH / 2} ${line.to} ${RIGHT} ${line.to}`}
            strokeWidth={line.width}
            className={`${styles.line} ${line.failed ? styles.failing : ""} ${selected && selected !== line.key ? styles.dim : ""}`}
          />
        ))}
        <Names places={callers} x={LEFT} anchor="end" />
        <Names places={models} x={RIGHT} anchor="start" />
      </svg>
      <div className={styles.edges}>
        <table>
          <caption className="visually-hidden">Clients and models</caption>
          <thead>
            <tr>
              <th scope="col">Caller → model</th>
              <th scope="col">Calls</th>
              <th scope="col">Failed</th>
              <th scope="col">Tokens</th>
              <th scope="col">Mean</th>
            </tr>
          </thead>
          <tbody>
            {edges.map((edge) => (
              <tr key={edge.key}>
                <td>
                  <button
                    type="button"
                    aria-pressed={selected === edge.key}
                    title="Show only these calls"
                    onClick={() => onSelect(selected === edge.key ? "" : edge.key)}
                  >
                    {edge.caller} <span className="soft">→</span> {edge.model}
                  </button>
                </td>
                <td>{count(edge.calls)}</td>
                <td className={edge.errors > 0 ? styles.bad : "soft"}>{count(edge.errors)}</td>
                <td>{count(edge.tokens)}</td>
                <td>{taken(edge.mean)}</td>
              </tr>
            ))}
          </tbody>
        </table>
        {hidden > 0 && <p className="soft">{count(hidden)} more pairs are in the list alone.</p>}
      </div>
    </div>
  );
}

function Names({ places, x, anchor }: { places: readonly Place[]; x: number; anchor: "start" | "end" }) {
  const side = anchor === "start" ? 1 : -1;
  return places.map((place) => (
    <g key={place.name}>
      <circle cx={x} cy={place.y} r={5} className={styles.dot} />
      <text x={x + side * 11} y={place.y} dy="0.35em" textAnchor={anchor} className={styles.label}>
        <title>{`${place.name}: ${count(place.calls)} calls`}</title>
        {place.name.length > 19 ? `${place.name.slice(0, 18)}…` : place.name}
      </text>
    </g>
  ));
}
