import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api, type Schema } from "../../api/client";
import { sentence } from "../../api/problem";
import { Button } from "../../parts/Button";
import { Chip } from "../../parts/Chip";
import { type Column, DataTable } from "../../parts/DataTable";
import { Empty } from "../../parts/Empty";
import { Failed } from "../../parts/Failed";
import { count } from "../../parts/format";
import { Loading } from "../../parts/Loading";
import { Time } from "../../parts/Time";
import { AdminPage } from "./AdminPage";
import styles from "./admin.module.css";
import { Confirm } from "./Confirm";
import { NewKey } from "./NewKey";
import { SecretOnce } from "./SecretOnce";

type Key = Schema["Key"];

/** Virtual keys of the gateway: who calls it, for which tenant, and what they may ask for. */
export default function KeysPage() {
  const [adding, setAdding] = useState(false);
  return (
    <AdminPage
      title="Keys"
      about="API keys for clients of the gateway. A key sets the tenant of its calls and the models that it may use."
      actions={
        <Button kind="primary" icon="plus" onClick={() => setAdding(true)}>
          New key
        </Button>
      }
    >
      {() => <Keys adding={adding} onAdded={() => setAdding(false)} />}
    </AdminPage>
  );
}

function Keys({ adding, onAdded }: { adding: boolean; onAdded: () => void }) {
  const queries = useQueryClient();
  const { data, error, refetch } = api.useQuery("get", "/api/admin/keys");
  const [secret, setSecret] = useState("");
  const [ending, setEnding] = useState<Key | null>(null);
  const changed = () => void queries.invalidateQueries({ queryKey: ["get", "/api/admin/keys"] });
  const revoke = api.useMutation("post", "/api/admin/keys/{id}/revoke", {
    onSuccess: () => {
      setEnding(null);
      changed();
    },
  });
  if (error) return <Failed error={error} retry={() => void refetch()} />;
  if (!data) return <Loading what="keys" />;
  const columns: readonly Column<Key>[] = [
    {
      key: "name",
      head: "Name",
      width: "11rem",
      cell: (key) => <span className={key.revoked_at ? styles.gone : undefined}>{key.name}</span>,
    },
    { key: "id", head: "Id", width: "7rem", cell: (key) => <code>{key.id.slice(0, 8)}</code> },
    { key: "scope", head: "Tenant", width: "8rem", cell: (key) => key.scope },
    { key: "models", head: "Models", cell: (key) => <code>{key.models.join(" ")}</code> },
    {
      key: "limits",
      head: "Limits",
      width: "10rem",
      cell: (key) => limitsOf(key) || <span className="soft">none</span>,
    },
    { key: "made", head: "Made", width: "8.5rem", cell: (key) => <Time at={key.created_at} /> },
    {
      key: "state",
      head: "State",
      width: "7rem",
      cell: (key) =>
        key.revoked_at ? (
          <Chip title={key.revoked_at}>revoked</Chip>
        ) : (
          <Button kind="quiet" className={styles.act} onClick={() => setEnding(key)}>
            Revoke
          </Button>
        ),
    },
  ];
  return (
    <>
      {!data.needed && (
        <p className={styles.note}>
          The gateway requires no key now: anyone who can reach it may call it. It requires keys when it
          listens beyond this machine, or with the setting <code>gateway.require_keys</code>.
        </p>
      )}
      {data.keys.length === 0 ? (
        <Empty title="There are no keys">
          Create one for each client, to distinguish and limit its calls.
        </Empty>
      ) : (
        <DataTable
          label="Keys"
          columns={columns}
          rows={data.keys}
          rowKey={(key) => key.id}
          minWidth="58rem"
        />
      )}
      <NewKey
        open={adding}
        onClose={onAdded}
        onMade={(made) => {
          onAdded();
          setSecret(made);
          changed();
        }}
      />
      <SecretOnce
        title="The new key"
        secret={secret}
        use="Clients send it as their API key."
        onClose={() => setSecret("")}
      />
      <Confirm
        title={`Revoke the key ${ending?.name ?? ""}?`}
        act="Revoke"
        open={ending !== null}
        busy={revoke.isPending}
        onAct={() => ending && revoke.mutate({ params: { path: { id: ending.id } } })}
        onClose={() => setEnding(null)}
      >
        <p>Calls with it are refused within two seconds. It cannot be used again.</p>
        {revoke.error && <p className={styles.problem}>{sentence(revoke.error)}</p>}
      </Confirm>
    </>
  );
}

function limitsOf(key: Key): string {
  const parts = [];
  if (key.per_minute > 0) parts.push(`${count(key.per_minute)} a minute`);
  if (key.max_concurrency > 0) parts.push(`${count(key.max_concurrency)} at once`);
  return parts.join(", ");
}
