import { useState } from "react";
import { Link } from "wouter";
import { api, type Schema } from "../../api/client";
import { Button } from "../../parts/Button";
import { Chip } from "../../parts/Chip";
import { CopyLink } from "../../parts/CopyLink";
import { Failed } from "../../parts/Failed";
import { count } from "../../parts/format";
import { Loading } from "../../parts/Loading";
import { Page } from "../../parts/Page";
import { Tabs } from "../../parts/Tabs";
import { Time } from "../../parts/Time";
import { useUrlState } from "../../parts/useUrlState";
import type { PageProps } from "../../shell/page";
import { useIsAdmin } from "../../shell/session";
import { KINDS } from "../words";
import { ExportDialog } from "./ExportDialog";
import { Overview } from "./Overview";
import { RecipeText } from "./RecipeText";
import { Rows } from "./Rows";
import styles from "./SnapshotPage.module.css";
import { WithdrawDialog } from "./WithdrawDialog";

const CRUMBS = [{ label: "Datasets", href: "/datasets" }];

/** A frozen dataset: what is proven of it, its rows, its recipe, and what can be done with it. */
export default function SnapshotPage({ params }: PageProps) {
  const id = params.snapshot ?? "";
  const { data, error, refetch } = api.useQuery("get", "/api/snapshots/{id}", { params: { path: { id } } });
  if (error)
    return (
      <Page title={id} crumbs={CRUMBS}>
        <Failed error={error} retry={() => void refetch()} />
      </Page>
    );
  if (!data)
    return (
      <Page title={id} crumbs={CRUMBS}>
        <Loading what="dataset" />
      </Page>
    );
  return <Shown snapshot={data} onChanged={() => void refetch()} />;
}

function Shown({ snapshot, onChanged }: { snapshot: Schema["SnapshotDetail"]; onChanged: () => void }) {
  const admin = useIsAdmin();
  const [tab, setTab] = useUrlState("tab", "proof");
  const [dialog, setDialog] = useState<"" | "export" | "withdraw">("");
  const close = () => setDialog("");
  const withdrawn = snapshot.withdrawn_at !== null;
  return (
    <Page
      title={snapshot.dataset}
      windowTitle={snapshot.snapshot_id}
      crumbs={CRUMBS}
      full={tab === "rows"}
      about={
        <span className={styles.about}>
          <span className="mono">{snapshot.snapshot_id}</span>
          <Chip title={KINDS[snapshot.kind]}>{snapshot.kind}</Chip>
          <span>
            frozen <Time at={snapshot.created_at} full />
          </span>
        </span>
      }
      actions={
        <>
          <CopyLink />
          {admin && !withdrawn && (
            <>
              <Button icon="download" onClick={() => setDialog("export")}>
                Export …
              </Button>
              <Button kind="danger" onClick={() => setDialog("withdraw")}>
                Withdraw …
              </Button>
            </>
          )}
        </>
      }
    >
      {withdrawn && (
        <p role="note" className={styles.withdrawn}>
          <b>Withdrawn</b> <Time at={snapshot.withdrawn_at} full />: {snapshot.withdrawn_because}. Nothing is
          to be trained on it.{" "}
          {snapshot.successor && (
            <>
              <Link href={`/datasets/${snapshot.successor}`}>{snapshot.successor}</Link> took its place.
            </>
          )}
        </p>
      )}
      <Tabs
        label="Parts of the dataset"
        fill={tab === "rows"}
        selected={tab}
        onSelect={(key) => setTab(key, { push: true })}
        tabs={[
          { key: "proof", label: "Proof and figures", content: <Overview snapshot={snapshot} /> },
          {
            key: "rows",
            label: `Rows (${count(snapshot.holds.rows)})`,
            content: tab === "rows" && <Rows snapshot={snapshot} />,
          },
          { key: "recipe", label: "Recipe", content: <RecipeText text={snapshot.recipe} /> },
        ]}
      />
      <ExportDialog open={dialog === "export"} onClose={close} snapshot={snapshot} />
      <WithdrawDialog
        open={dialog === "withdraw"}
        onClose={close}
        snapshot={snapshot}
        onDone={() => {
          close();
          onChanged();
        }}
      />
    </Page>
  );
}
