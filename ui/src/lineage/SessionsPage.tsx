import { useLocation } from "wouter";
import { api, type Schema } from "../api/client";
import { type Column, DataTable } from "../parts/DataTable";
import { Empty } from "../parts/Empty";
import { Failed } from "../parts/Failed";
import { count } from "../parts/format";
import { Loading } from "../parts/Loading";
import { Page } from "../parts/Page";
import { Time } from "../parts/Time";

type Session = Schema["Session"];

const COLUMNS: readonly Column<Session>[] = [
  { key: "opening", head: "Opening", cell: (row) => row.opening ?? row.external_id },
  { key: "turns", head: "Turns", width: "5rem", align: "end", cell: (row) => count(row.turns) },
  { key: "last", head: "Last turn", width: "9rem", cell: (row) => <Time at={row.last_turn_at} /> },
];

/** Conversations, the most recent first. */
export default function SessionsPage() {
  const [, go] = useLocation();
  const { data, error, refetch } = api.useQuery("get", "/api/sessions", {
    params: { query: { limit: 200 } },
  });
  return (
    <Page title="Sessions" full>
      {error ? (
        <Failed error={error} retry={() => void refetch()} />
      ) : !data ? (
        <Loading what="sessions" />
      ) : data.sessions.length === 0 ? (
        <Empty title="Nothing was captured yet">Point a client at the gateway, or import a file.</Empty>
      ) : (
        <DataTable
          label="Sessions"
          columns={COLUMNS}
          rows={data.sessions}
          rowKey={(row) => row.session_id}
          onOpen={(row) => go(`/sessions/${row.session_id}`)}
          fill
        />
      )}
    </Page>
  );
}
