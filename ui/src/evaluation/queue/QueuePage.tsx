import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useEffect } from "react";
import { Link } from "wouter";
import { api, client, type Schema } from "../../api/client";
import { sentence } from "../../api/problem";
import { Button } from "../../parts/Button";
import { Empty } from "../../parts/Empty";
import { Failed } from "../../parts/Failed";
import { Loading } from "../../parts/Loading";
import { Page } from "../../parts/Page";
import { type Tab, Tabs } from "../../parts/Tabs";
import { useUrlState } from "../../parts/useUrlState";
import { AgreementTable } from "./AgreementTable";
import { Differences } from "./Differences";
import { EstimatesTable } from "./EstimatesTable";
import { FillDialog } from "./FillDialog";
import { GoldTable } from "./GoldTable";
import { ItemsTable } from "./ItemsTable";
import { ProgressTable } from "./ProgressTable";
import { ReviewersTable } from "./ReviewersTable";

/** What people are asked to judge, how far they are, how far they agree, and what they differ on. */
export default function QueuePage() {
  const [tab, setTab] = useUrlState("tab", "progress");
  const [filling, setFilling] = useUrlState("fill");
  const state = api.useQuery(
    "get",
    "/api/review/queue",
    {},
    { refetchInterval: ({ state }) => (isFilling(state.data) ? 700 : false) },
  );
  const filled = state.data?.filling?.filled;
  const progress = api.useQuery("get", "/api/review/progress", {}, { refetchInterval: 30_000 });
  const agreement = api.useQuery("get", "/api/review/agreement");
  const queries = useQueryClient();
  const measure = useMutation({
    mutationFn: () => client.POST("/api/review/agreement"),
    onSuccess: () => queries.invalidateQueries({ queryKey: ["get", "/api/review/agreement"] }),
  });
  useEffect(() => {
    if (filled) void queries.invalidateQueries({ predicate: ({ queryKey }) => isOfItems(`${queryKey[1]}`) });
  }, [filled, queries]);
  const failed = state.error ?? progress.error ?? agreement.error;
  const known = state.data && progress.data && agreement.data;
  const contested = agreement.data?.themes.filter((one) => one.contested).length ?? 0;
  const tabs: Tab[] = known
    ? [
        {
          key: "progress",
          label: "Progress",
          content:
            progress.data.all.length > 0 ? (
              <ProgressTable shares={progress.data.all} />
            ) : (
              <Empty title="The queue is empty">
                {state.data.may_fill ? (
                  <Button kind="primary" onClick={() => setFilling("1")}>
                    Fill the queue
                  </Button>
                ) : (
                  <p>
                    An admin can fill it here, or with <code>regraft queue fill</code>.
                  </p>
                )}
              </Empty>
            ),
        },
        { key: "items", label: "Items", content: <ItemsTable /> },
        {
          key: "agreement",
          label: contested > 0 ? `Agreement (${contested} contested)` : "Agreement",
          content: <AgreementTable rows={agreement.data.themes} />,
        },
        { key: "differences", label: "Differences", content: <Differences /> },
        { key: "reviewers", label: "Reviewers", content: <ReviewersTable /> },
        { key: "estimates", label: "Estimates", content: <EstimatesTable samples={state.data.samples} /> },
        ...(state.data.gold
          ? [{ key: "gold", label: "Gold", content: <GoldTable items={state.data.gold} /> }]
          : []),
      ]
    : [];
  return (
    <Page
      title="Review queue"
      crumbs={[{ label: "Review", href: "/review" }]}
      actions={
        <>
          {progress.data?.me.may_judge && (
            <Button busy={measure.isPending} onClick={() => measure.mutate()}>
              Measure agreement
            </Button>
          )}
          {state.data?.may_fill && (
            <Button kind="primary" onClick={() => setFilling("1")}>
              Fill the queue
            </Button>
          )}
        </>
      }
    >
      {measure.error && <p role="alert">{sentence(measure.error)}</p>}
      {failed && !known ? <Failed error={failed} retry={() => void state.refetch()} /> : null}
      {!failed && !known && <Loading what="queue" />}
      {known && (
        <Tabs
          label="Parts of the queue"
          tabs={tabs}
          selected={tab}
          onSelect={(key) => setTab(key, { push: true })}
        />
      )}
      {state.data?.may_fill && (
        <FillDialog
          open={filling === "1"}
          defaults={state.data.defaults}
          filling={state.data.filling}
          onClose={() => setFilling("")}
        />
      )}
      {known && (
        <p className="soft">
          <Link href="/review">Judge</Link> · <Link href="/judges">Reliability of judges</Link>
        </p>
      )}
    </Page>
  );
}

function isFilling(state: Schema["QueueState"] | undefined): boolean {
  return ["waiting", "running"].includes(state?.filling?.state ?? "");
}

/** What changes when the queue was filled. */
function isOfItems(path: string): boolean {
  return ["/api/review/items", "/api/review/progress", "/api/review/estimates"].includes(path);
}
