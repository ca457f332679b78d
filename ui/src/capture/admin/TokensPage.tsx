import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api, type Schema } from "../../api/client";
import { sentence } from "../../api/problem";
import { Button } from "../../parts/Button";
import { Chip } from "../../parts/Chip";
import { type Column, DataTable } from "../../parts/DataTable";
import { Empty } from "../../parts/Empty";
import { Failed } from "../../parts/Failed";
import { count, counted } from "../../parts/format";
import { Loading } from "../../parts/Loading";
import { Time } from "../../parts/Time";
import { AdminPage } from "./AdminPage";
import styles from "./admin.module.css";
import { Confirm } from "./Confirm";
import { NewToken } from "./NewToken";
import { SecretOnce } from "./SecretOnce";

type Token = Schema["Token"];

/** Tokens of the web UI: who signs in with one, and what they may do. */
export default function TokensPage() {
  const [adding, setAdding] = useState(false);
  return (
    <AdminPage
      title="Tokens"
      about="Tokens for the web UI and its API. A viewer reads, a reviewer also judges, an admin does everything."
      actions={
        <Button kind="primary" icon="plus" onClick={() => setAdding(true)}>
          New token
        </Button>
      }
    >
      {() => <Tokens adding={adding} onAdded={() => setAdding(false)} />}
    </AdminPage>
  );
}

function Tokens({ adding, onAdded }: { adding: boolean; onAdded: () => void }) {
  const queries = useQueryClient();
  const { data, error, refetch } = api.useQuery("get", "/api/admin/tokens");
  const [secret, setSecret] = useState("");
  const [ending, setEnding] = useState<Token | null>(null);
  const changed = () => void queries.invalidateQueries({ queryKey: ["get", "/api/admin/tokens"] });
  const revoke = api.useMutation("post", "/api/admin/tokens/{id}/revoke", {
    onSuccess: () => {
      setEnding(null);
      changed();
    },
  });
  if (error) return <Failed error={error} retry={() => void refetch()} />;
  if (!data) return <Loading what="tokens" />;
  const columns: readonly Column<Token>[] = [
    {
      key: "name",
      head: "Name",
      cell: (token) => <span className={token.revoked_at ? styles.gone : undefined}>{token.name}</span>,
    },
    { key: "id", head: "Id", width: "7rem", cell: (token) => <code>{token.id.slice(0, 8)}</code> },
    {
      key: "role",
      head: "Role",
      width: "7.5rem",
      cell: (token) => (
        <Chip tone={token.role === "admin" ? "accent" : token.role === "reviewer" ? "info" : "plain"}>
          {token.role}
        </Chip>
      ),
    },
    {
      key: "scope",
      head: "Tenant",
      width: "9rem",
      cell: (token) => token.scope ?? <span className="soft">all</span>,
    },
    {
      key: "browsers",
      head: "Browsers",
      width: "6rem",
      align: "end",
      cell: (token) => count(token.browsers),
    },
    { key: "used", head: "Last used", width: "8.5rem", cell: (token) => <Time at={token.last_used_at} /> },
    { key: "made", head: "Made", width: "8.5rem", cell: (token) => <Time at={token.created_at} /> },
    {
      key: "state",
      head: "State",
      width: "7rem",
      cell: (token) =>
        token.revoked_at ? (
          <Chip title={token.revoked_at}>revoked</Chip>
        ) : (
          <Button kind="quiet" className={styles.act} onClick={() => setEnding(token)}>
            Revoke
          </Button>
        ),
    },
  ];
  return (
    <>
      <p className="soft">
        The owner of the data folder needs no token: {counted(data.owner_browsers, "browser")} signed in by{" "}
        <code>regraft open</code>.
      </p>
      {data.tokens.length === 0 ? (
        <Empty title="There are no tokens">
          Without tokens, anyone on this machine can read everything and change nothing. Once a token exists,
          everyone must sign in.
        </Empty>
      ) : (
        <DataTable
          label="Tokens"
          columns={columns}
          rows={data.tokens}
          rowKey={(token) => token.id}
          minWidth="60rem"
        />
      )}
      <NewToken
        open={adding}
        first={data.tokens.length === 0}
        onClose={onAdded}
        onMade={(made) => {
          onAdded();
          setSecret(made);
          changed();
        }}
      />
      <SecretOnce
        title="The new token"
        secret={secret}
        use="Its user signs in with it on this page; a program sends it as a Bearer token."
        onClose={() => setSecret("")}
      />
      <Confirm
        title={`Revoke the token of ${ending?.name ?? ""}?`}
        act="Revoke"
        open={ending !== null}
        busy={revoke.isPending}
        onAct={() => ending && revoke.mutate({ params: { path: { id: ending.id } } })}
        onClose={() => setEnding(null)}
      >
        <p>It is refused within two seconds, and browsers that signed in with it are signed out.</p>
        {revoke.error && <p className={styles.problem}>{sentence(revoke.error)}</p>}
      </Confirm>
    </>
  );
}
