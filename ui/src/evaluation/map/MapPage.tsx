import { useMemo, useState } from "react";
import { useLocation } from "wouter";
import { Button } from "../../parts/Button";
import { Dialog } from "../../parts/Dialog";
import { Empty } from "../../parts/Empty";
import { ExportButtons } from "../../parts/ExportButtons";
import { Failed } from "../../parts/Failed";
import { count, counted, figure } from "../../parts/format";
import { Loading } from "../../parts/Loading";
import { Page } from "../../parts/Page";
import { useShortcuts } from "../../parts/shortcuts";
import { toggled } from "../../parts/toggled";
import { useUrlState } from "../../parts/useUrlState";
import { ClusterList, nameOf } from "./ClusterList";
import { colouringOf, MODES, type Mode, namedStyles } from "./colouring";
import { Legend } from "./Legend";
import { MapCanvas } from "./MapCanvas";
import styles from "./map.module.css";
import { shareOf } from "./mapData";
import { type ClusterOrder, ORDERS } from "./order";
import { PathTable, pathRows } from "./PathTable";
import { SelectionBar } from "./SelectionBar";
import { placesOf, readLasso, selectionOf, writtenLasso } from "./selection";
import { useMap, useMapIds } from "./useMap";

const EXPORTED = ["unit_id", "session_id", "cluster", "theme", "outcome", "quality"];

/** The map: paths that are near are about the same. Clusters beside it, the worst first. */
export default function MapPage() {
  const [, go] = useLocation();
  const [layerText, setLayer] = useUrlState("layer");
  const [modeText, setMode] = useUrlState("colour", "cluster");
  const [orderText, setOrder] = useUrlState("order", "worst");
  const [chosenText, setChosen] = useUrlState("clusters");
  const [lassoText, setLasso] = useUrlState("lasso");
  const [view, setView] = useUrlState("view");
  const [drawing, setDrawing] = useState(false);
  const [listed, setListed] = useState(false);
  const [hover, setHover] = useState({ point: -1, x: 0, y: 0 });
  const layer = /^\d+$/.test(layerText) ? Number(layerText) : undefined;
  const mode = MODES.find((one) => one === modeText) ?? "cluster";
  const order = ORDERS.find((one) => one === orderText) ?? "worst";
  const { data, run, clusters, nothing, error, retry } = useMap(layer);

  const names = useMemo(() => new Map(clusters?.map((one) => [one.cluster_id, nameOf(one)])), [clusters]);
  const called = useMemo(() => (id: string) => (id === "" ? "no cluster" : (names.get(id) ?? id)), [names]);
  const colouring = useMemo(() => (data ? colouringOf(data, mode, called) : undefined), [data, mode, called]);
  const clusterStyles = useMemo(
    () => (data ? namedStyles(data.cluster, data.clusters, called, "no cluster") : []),
    [data, called],
  );
  const labels = useMemo(
    () =>
      [...(clusters ?? [])]
        .sort((a, b) => b.units - a.units)
        .map((one) => ({ name: nameOf(one), x: one.x, y: one.y })),
    [clusters],
  );
  const chosen = useMemo(() => (chosenText ? chosenText.split(",") : []), [chosenText]);
  const lasso = useMemo(() => (lassoText ? readLasso(lassoText) : []), [lassoText]);
  const selected = useMemo(() => (data ? selectionOf(data, chosen, lasso) : null), [data, chosen, lasso]);
  const places = useMemo(() => placesOf(selected), [selected]);
  const ids = useMapIds(layer, data !== undefined);
  const units = useMemo(
    () => (ids && ids.units.length === data?.points ? places.map((at) => ids.units[at] ?? "") : undefined),
    [ids, places, data],
  );
  const rows = useMemo(
    () => (data && ids && units && listed ? pathRows(data, places, ids, called) : []),
    [data, ids, units, places, listed, called],
  );
  const clear = () => {
    setChosen("");
    setLasso("");
  };
  useShortcuts("Map", [
    { keys: "l", does: "Select paths with a lasso, or move the map", run: () => setDrawing(!drawing) },
    { keys: "Escape", does: "Clear the selection", run: clear },
  ]);

  if (error) {
    return (
      <Page title="Map">
        <Failed error={error} retry={retry} />
      </Page>
    );
  }
  if (nothing) {
    return (
      <Page title="Map">
        <Empty title="Nothing was clustered yet">
          <p>Clusters need a few dozen evaluated paths. Then run</p>
          <pre>
            <code>regraft clusters refit</code>
          </pre>
          <p>to cluster them and draw this map; Dagster does the same after each change.</p>
        </Empty>
      </Page>
    );
  }
  if (!data || !colouring || !clusters || !run) {
    return (
      <Page title="Map">
        <Loading what="map" />
      </Page>
    );
  }
  const shown = hover.point;
  return (
    <Page
      title="Map"
      full
      about={
        <>
          {counted(data.points, "path")} in {counted(clusters.length, "cluster")}, {count(run.without)} in
          none
          {run.trustworthiness !== null && (
            <span title="Trustworthiness: 1 where every path near another on the map is near it in meaning too">
              , neighbourhoods kept {figure(run.trustworthiness)}
            </span>
          )}
        </>
      }
      actions={
        <div className={styles.controls}>
          <label>
            Colour{" "}
            <select value={mode} onChange={(event) => setMode(event.target.value as Mode)}>
              {MODES.map((one) => (
                <option key={one}>{one}</option>
              ))}
            </select>
          </label>
          {run.layers > 1 && (
            <label>
              Layer{" "}
              <select
                value={layer ?? run.default_layer}
                onChange={(event) => {
                  clear();
                  setLayer(Number(event.target.value) === run.default_layer ? "" : event.target.value);
                }}
              >
                {Array.from({ length: run.layers }, (_, at) => (
                  <option key={at} value={at}>
                    {at === 0 ? "0, the finest" : at}
                    {at === run.default_layer ? ", usual" : ""}
                  </option>
                ))}
              </select>
            </label>
          )}
          <Button
            aria-pressed={drawing}
            kind={drawing ? "primary" : "normal"}
            onClick={() => setDrawing(!drawing)}
          >
            Lasso
          </Button>
          <Button onClick={() => setView("")} disabled={view === ""}>
            Show all
          </Button>
        </div>
      }
    >
      <div className={styles.body}>
        <div className={styles.plot}>
          <MapCanvas
            data={data}
            colouring={colouring}
            names={labels}
            selected={selected}
            lasso={lasso}
            drawing={drawing}
            at={view}
            onView={setView}
            onLasso={(line) => setLasso(writtenLasso(line), { push: true })}
            onHover={(point, x, y) => (point !== shown || point >= 0) && setHover({ point, x, y })}
            onOpen={(point) => ids && go(`/nodes/${ids.units[point]}`)}
          />
          {mode !== "cluster" && <Legend styles={colouring.styles} />}
          {shown >= 0 && (
            <div
              className={styles.tip}
              role="tooltip"
              style={{ left: Math.min(hover.x + 14, 10_000), top: hover.y + 14 }}
            >
              <strong>{called(data.clusters[data.cluster[shown] ?? -1] ?? "")}</strong>
              <span>{data.themes[data.theme[shown] ?? -1] || "no theme"}</span>
              <span>
                outcome {figure(shareOf(data.outcome[shown]))} · quality{" "}
                {figure(shareOf(data.quality[shown]))}
              </span>
            </div>
          )}
          {selected && (
            <SelectionBar
              selected={places.length}
              units={units}
              onList={() => setListed(true)}
              onClear={clear}
            />
          )}
        </div>
        <ClusterList
          clusters={clusters}
          styleOf={(id) => clusterStyles[data.clusters.indexOf(id)]}
          order={order as ClusterOrder}
          onOrder={setOrder}
          chosen={chosen}
          onToggle={(id) => setChosen(toggled(chosen, id).join(","), { push: true })}
        />
      </div>
      <Dialog
        title={counted(places.length, "selected path")}
        open={listed}
        onClose={() => setListed(false)}
        actions={<ExportButtons name="paths" columns={EXPORTED} rows={() => rows} />}
      >
        {listed && <PathTable rows={rows} />}
      </Dialog>
    </Page>
  );
}
