import { useMutation, useQueryClient } from "@tanstack/react-query";
import { Link, useLocation } from "wouter";
import { api, client, type Schema } from "../../api/client";
import { sentence } from "../../api/problem";
import { Button } from "../../parts/Button";
import { type Column, DataTable } from "../../parts/DataTable";
import { Empty } from "../../parts/Empty";
import { ExportButtons } from "../../parts/ExportButtons";
import { Failed } from "../../parts/Failed";
import { count, percent } from "../../parts/format";
import { Loading } from "../../parts/Loading";
import { Page } from "../../parts/Page";
import { useIsAdmin } from "../../shell/session";
import { Interval } from "../figures/Interval";
import { signed } from "../figures/number";
import { decidesOf, type JudgeRow, judgeRows, MIN_AGREEMENT } from "./judges";
import styles from "./judges.module.css";
import { StandingMark } from "./StandingMark";

/** How far each judge may be believed: its agreement with people on the same items. */
export default function JudgesPage() {
  const [, go] = useLocation();
  const admin = useIsAdmin();
  const figures = api.useQuery("get", "/api/judges");
  const versions = api.useQuery("get", "/api/judges/versions");
  const contrasts = api.useQuery("get", "/api/judges/contrasts");
  const queries = useQueryClient();
  const calibrate = useMutation({
    mutationFn: () => client.POST("/api/judges/calibrate"),
    onSuccess: () =>
      queries.invalidateQueries({ predicate: ({ queryKey }) => `${queryKey[1]}`.startsWith("/api/judges") }),
  });
  const failed = figures.error ?? versions.error;
  const rows = figures.data && versions.data ? judgeRows(figures.data.judges, versions.data.versions) : null;
  const trusted = rows?.filter((row) => row.standing.kind === "calibrated").length ?? 0;
  return (
    <Page
      title="Judges"
      about="A model’s word decides nothing in a dataset until it was compared with people on the same items."
      actions={
        <>
          {rows && rows.length > 0 && (
            <ExportButtons
              name="judges"
              columns={[
                "judge",
                "decides",
                "model",
                "votes",
                "items",
                "kappa",
                "low",
                "high",
                "agreement",
                "status",
              ]}
              rows={() => rows.map(exported)}
            />
          )}
          {admin && (
            <Button busy={calibrate.isPending} onClick={() => calibrate.mutate()}>
              {calibrate.isPending ? "Comparing …" : "Compare again"}
            </Button>
          )}
        </>
      }
    >
      {calibrate.error && <p role="alert">{sentence(calibrate.error)}</p>}
      {failed && !rows && <Failed error={failed} retry={() => void figures.refetch()} />}
      {!failed && !rows && <Loading what="judges" />}
      {rows?.length === 0 && (
        <Empty title="No judge was run, and no judgement was imported">
          <p>
            <code>regraft judges init NAME</code> writes a judge’s file,{" "}
            <code>regraft judges run NAME --judged</code> asks it about what people judged.{" "}
            <Link href="/review">Judge some items</Link> first.
          </p>
        </Empty>
      )}
      {rows && rows.length > 0 && (
        <>
          <p>
            <b>
              {trusted} of {rows.filter((row) => row.standing.kind !== "people").length}
            </b>{" "}
            are calibrated. The dashed mark is an agreement of {MIN_AGREEMENT}. Agreement is the lower κ of
            two codings, by side and by length: a judge that follows either does not pass.
          </p>
          <DataTable
            label="Judges"
            columns={COLUMNS}
            rows={rows}
            rowKey={(row) => row.key}
            onOpen={(row) => go(`/judges/${encodeURIComponent(row.judge)}`)}
          />
        </>
      )}
      {contrasts.data && contrasts.data.contrasts.length > 0 && (
        <section className={styles.section}>
          <h2>Judges compared with each other</h2>
          <p className="soft">
            On items that both judged, whether people did or not; those that differ most first.
          </p>
          <DataTable
            label="Judges compared with each other"
            columns={CONTRASTS}
            rows={contrasts.data.contrasts}
            rowKey={(row) =>
              `${row.judge} ${row.judge_version} ${row.other} ${row.other_version} ${row.task} ${row.category}`
            }
          />
        </section>
      )}
    </Page>
  );
}

const COLUMNS: Column<JudgeRow>[] = [
  {
    key: "judge",
    head: "Judge",
    cell: (row) => <Link href={`/judges/${encodeURIComponent(row.judge)}`}>{row.judge}</Link>,
  },
  { key: "decides", head: "Decides", width: "8rem", cell: (row) => row.decides },
  {
    key: "model",
    head: "Model",
    width: "8rem",
    cell: (row) => row.model || <span className="soft">{row.source}</span>,
  },
  {
    key: "votes",
    head: "Votes",
    width: "5.5rem",
    align: "end",
    cell: (row) => (
      <span title={row.unparseable ? `${row.unparseable} of them could not be read` : undefined}>
        {row.votes ? count(row.votes) : ""}
        {row.unparseable > 0 && <small className="soft"> ({row.unparseable} ?)</small>}
      </span>
    ),
  },
  {
    key: "kappa",
    head: "Cohen’s κ, 95 %",
    width: "13rem",
    cell: ({ figures }) => (
      <Interval
        value={figures?.kappa ?? null}
        low={figures?.kappa_low ?? null}
        high={figures?.kappa_high ?? null}
        n={figures?.items ?? 0}
        mark={MIN_AGREEMENT}
      />
    ),
  },
  {
    key: "agreement",
    head: "Agreement",
    name: "Required by recipes",
    width: "6.5rem",
    align: "end",
    cell: ({ figures }) => signed(figures?.agreement),
  },
  { key: "status", head: "Status", width: "15rem", cell: (row) => <StandingMark standing={row.standing} /> },
];

const CONTRASTS: Column<Schema["JudgeContrast"]>[] = [
  { key: "judge", head: "Judge", cell: (row) => row.judge },
  { key: "other", head: "Other", cell: (row) => row.other },
  { key: "decides", head: "Decides", cell: (row) => decidesOf(row.task, row.category) },
  { key: "kappa", head: "Cohen’s κ", width: "8rem", align: "end", cell: (row) => signed(row.kappa) },
  { key: "same", head: "Same label", width: "8rem", align: "end", cell: (row) => percent(row.same) },
  { key: "items", head: "n", width: "6rem", align: "end", cell: (row) => count(row.items) },
];

function exported(row: JudgeRow) {
  const { figures } = row;
  return {
    ...{
      judge: row.judge,
      decides: row.decides,
      model: row.model,
      votes: row.votes,
      items: figures?.items ?? 0,
    },
    ...{
      kappa: figures?.kappa,
      low: figures?.kappa_low,
      high: figures?.kappa_high,
      agreement: figures?.agreement,
    },
    status: row.standing.why ? `${row.standing.kind}: ${row.standing.why}` : row.standing.kind,
  };
}
