import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api, type Schema } from "../../api/client";
import { sentence } from "../../api/problem";
import { Button } from "../../parts/Button";
import { Chip } from "../../parts/Chip";
import { type Column, DataTable } from "../../parts/DataTable";
import { Empty } from "../../parts/Empty";
import { Failed } from "../../parts/Failed";
import { Field } from "../../parts/Field";
import { bytes, count, shortId } from "../../parts/format";
import { Loading } from "../../parts/Loading";
import { Time } from "../../parts/Time";
import { useUrlState } from "../../parts/useUrlState";
import { AdminPage } from "./AdminPage";
import styles from "./admin.module.css";
import { Confirm } from "./Confirm";

type Quarantined = Schema["QuarantinedCall"];

/** Captured calls that could not be read, or that wait for another one. */
export default function QuarantinePage() {
  return (
    <AdminPage
      title="Quarantine"
      about="Captured calls that could not be read, or that wait for the call that they continue. They are kept unchanged."
    >
      {() => <Calls />}
    </AdminPage>
  );
}

function Calls() {
  const queries = useQueryClient();
  const [which, setWhich] = useUrlState("show", "all");
  const query = { limit: 200, waiting: which === "waiting", dismissed: which === "dismissed" };
  const { data, error, refetch } = api.useQuery("get", "/api/admin/quarantine", { params: { query } });
  const [leaving, setLeaving] = useState<Quarantined | null>(null);
  const [because, setBecause] = useState("");
  const changed = () => void queries.invalidateQueries({ queryKey: ["get", "/api/admin/quarantine"] });
  const retry = api.useMutation("post", "/api/admin/quarantine/retry", { onSuccess: changed });
  const dismiss = api.useMutation("post", "/api/admin/quarantine/dismiss", {
    onSuccess: () => {
      setLeaving(null);
      setBecause("");
      changed();
    },
  });
  if (error) return <Failed error={error} retry={() => void refetch()} />;
  const columns: readonly Column<Quarantined>[] = [
    { key: "id", head: "Call", width: "7rem", cell: (call) => <code>{shortId(call.event_id)}</code> },
    { key: "at", head: "Received", width: "8.5rem", cell: (call) => <Time at={call.received_at} /> },
    {
      key: "state",
      head: "State",
      width: "7.5rem",
      cell: (call) => (
        <Chip tone={call.dismissed_because ? "plain" : call.waits_for ? "info" : "warn"}>
          {call.dismissed_because ? "dismissed" : call.waits_for ? "waits" : "unreadable"}
        </Chip>
      ),
    },
    {
      key: "reason",
      head: "Reason",
      cell: (call) => (
        <span title={call.reason}>
          {call.dismissed_because ? `${call.dismissed_because} · ` : ""}
          {call.reason}
        </span>
      ),
    },
    { key: "tries", head: "Tries", width: "4.5rem", align: "end", cell: (call) => count(call.tries) },
    { key: "size", head: "Size", width: "6rem", align: "end", cell: (call) => bytes(call.bytes) },
    {
      key: "act",
      head: <span className="visually-hidden">What can be done</span>,
      name: "What can be done",
      width: "7rem",
      cell: (call) =>
        !call.waits_for &&
        !call.dismissed_because && (
          <Button kind="quiet" className={styles.act} onClick={() => setLeaving(call)}>
            Dismiss
          </Button>
        ),
    },
  ];
  return (
    <>
      <div className={styles.bar}>
        <Field label="Show">
          <select value={which} onChange={(event) => setWhich(event.target.value)}>
            <option value="all">all that is in it</option>
            <option value="waiting">calls that wait</option>
            <option value="dismissed">dismissed calls</option>
          </select>
        </Field>
        <Button
          busy={retry.isPending}
          icon="replay"
          onClick={() => retry.mutate({ body: { everything: true, place: false } })}
        >
          Read all again
        </Button>
        <span aria-live="polite" className="soft">
          {retry.data &&
            `Tried ${count(retry.data.tried)}: ${count(retry.data.resolved)} stored, ${count(retry.data.left)} left.`}
          {retry.error && sentence(retry.error)}
          {!retry.data &&
            data &&
            Object.entries(data.reasons)
              .map(([reason, calls]) => `${reason}: ${count(calls)}`)
              .join(", ")}
        </span>
      </div>
      {!data ? (
        <Loading what="quarantine" />
      ) : data.calls.length === 0 ? (
        <Empty title={which === "dismissed" ? "Nothing was dismissed" : "Nothing is in quarantine"}>
          Every captured call could be read.
        </Empty>
      ) : (
        <DataTable
          label="Calls in quarantine"
          columns={columns}
          rows={data.calls}
          rowKey={(call) => call.event_id}
          minWidth="58rem"
        />
      )}
      <Confirm
        title={`Dismiss the call ${leaving ? shortId(leaving.event_id) : ""}?`}
        act="Dismiss"
        open={leaving !== null}
        busy={dismiss.isPending || because.trim() === ""}
        onAct={() => leaving && dismiss.mutate({ body: { calls: [leaving.event_id], because } })}
        onClose={() => setLeaving(null)}
      >
        <div className={styles.form}>
          <p>It stays stored, but no longer counts in checks.</p>
          <Field label="Reason" wide>
            <input value={because} maxLength={2000} onChange={(event) => setBecause(event.target.value)} />
          </Field>
          {dismiss.error && (
            <p role="alert" className={styles.problem}>
              {sentence(dismiss.error)}
            </p>
          )}
        </div>
      </Confirm>
    </>
  );
}
