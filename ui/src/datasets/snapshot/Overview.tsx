import type { Schema } from "../../api/client";
import { count, counted } from "../../parts/format";
import { Bars } from "../Bars";
import { Card, Cards, Facts, Figures } from "../Card";
import { Stack, splitPieces } from "../Stack";
import { ranked, spoken, total } from "../words";
import { Certificate } from "./Certificate";
import { Verify } from "./Verify";

type Counts = Record<string, number>;

/** What is proven of a dataset first, then its figures. */
export function Overview({ snapshot }: { snapshot: Schema["SnapshotDetail"] }) {
  const rows = total(snapshot.row_counts as Counts);
  const labels = (snapshot.report.labels ?? {}) as Counts;
  const strata = (snapshot.report.strata ?? {}) as Counts;
  const refused = snapshot.refused as Counts;
  const passed = snapshot.passed_over as Counts;
  const left = snapshot.filters.reduce((sum, one) => sum + one.refused, 0);
  return (
    <Cards>
      <Card title="Certificate" wide>
        <Certificate statements={snapshot.statements} />
        <Verify snapshot={snapshot} />
      </Card>
      <Card title="What it holds">
        <Figures
          figures={[
            ["rows", count(rows)],
            ["nodes", count(snapshot.holds.nodes)],
            ["sessions", count(snapshot.holds.sessions)],
            ["groups of related rows", count(Number(snapshot.leakage.components ?? 0))],
          ]}
        />
        <Stack label="Splits" pieces={splitPieces(snapshot.row_counts)} />
      </Card>
      {Object.keys(labels).length > 0 && (
        <Card title="Decided by">
          <Bars
            label="Decided by"
            bars={ranked(labels).map(([key, value]) => ({ key, value, label: spoken(key) }))}
            of={rows}
          />
        </Card>
      )}
      {Object.keys(strata).length > 0 && (
        <Card title="Strata" note={counted(Object.keys(strata).length, "stratum", "strata")}>
          <Bars
            label="Strata"
            bars={ranked(strata)
              .slice(0, 12)
              .map(([key, value]) => ({ key, value, label: key || "no theme" }))}
          />
        </Card>
      )}
      <Card title="Refused" note={count(total(refused))}>
        <Reasons counts={refused} reasons={snapshot.reasons} tone="bad" nothing="No candidate was refused." />
      </Card>
      <Card title="Not asked for" note={count(total(passed))}>
        <Reasons
          counts={passed}
          reasons={snapshot.reasons}
          tone="plain"
          nothing="No candidate was excluded."
        />
      </Card>
      {snapshot.filters.length > 0 && (
        <Card title="Filters" note={counted(left, "row refused", "rows refused")}>
          <Facts
            facts={snapshot.filters.map((one) => [
              spoken(one.name),
              `${count(one.refused)} refused: ${one.text}`,
            ])}
          />
        </Card>
      )}
      <Card title="References">
        <Facts
          facts={[
            ["Iceberg table", snapshot.iceberg_table],
            [
              "snapshot",
              <span key="id" className="mono">
                {snapshot.iceberg_snapshot_id}
              </span>,
            ],
            [
              "content hash",
              <span key="hash" className="mono">
                {snapshot.content_hash}
              </span>,
            ],
            ["made by", `Regraft ${snapshot.code_version}`],
            ["graph build", count(snapshot.lineage_build)],
          ]}
        />
      </Card>
    </Cards>
  );
}

type ReasonsProps = {
  counts: Counts;
  reasons: Record<string, string>;
  tone: "bad" | "plain";
  nothing: string;
};

function Reasons({ counts, reasons, tone, nothing }: ReasonsProps) {
  const bars = ranked(counts).map(([key, value]) => ({
    key,
    value,
    label: spoken(key),
    title: reasons[key],
  }));
  if (bars.length === 0) return <p className="soft">{nothing}</p>;
  return <Bars label="Counts by reason" tone={tone} bars={bars} />;
}
