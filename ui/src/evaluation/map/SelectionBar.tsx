import { useState } from "react";
import { useLocation } from "wouter";
import { Button } from "../../parts/Button";
import { counted } from "../../parts/format";
import { useMe } from "../../shell/session";
import styles from "./map.module.css";
import { QueueDialog } from "./QueueDialog";

type Props = {
  /** How many paths are selected. */
  selected: number;
  /** Their ids; undefined while they are asked for. */
  units: readonly string[] | undefined;
  onList: () => void;
  onClear: () => void;
};

const MOST_REPLAYED = 200; // that a form takes

/** What can be done with the selected paths. */
export function SelectionBar({ selected, units, onList, onClear }: Props) {
  const [, go] = useLocation();
  const [asking, setAsking] = useState(false);
  const reviews = useMe()?.role !== "viewer";
  return (
    <section className={styles.bar} aria-label="Selection" aria-live="polite">
      <strong>{counted(selected, "path")} selected</strong>
      <Button icon="list" onClick={onList}>
        Open list
      </Button>
      {reviews && (
        <Button icon="review" busy={!units} onClick={() => setAsking(true)}>
          Send to review
        </Button>
      )}
      <Button
        icon="replay"
        busy={!units}
        title={selected > MOST_REPLAYED ? `Replays the first ${MOST_REPLAYED}` : undefined}
        onClick={() => go(`/replay?nodes=${units?.slice(0, MOST_REPLAYED).join(",")}`)}
      >
        Replay{selected > MOST_REPLAYED && ` the first ${MOST_REPLAYED}`}
      </Button>
      <Button kind="quiet" icon="close" onClick={onClear}>
        Clear
      </Button>
      {asking && units && <QueueDialog units={units} onClose={() => setAsking(false)} />}
    </section>
  );
}
