import { useQueryClient } from "@tanstack/react-query";
import { api, type Schema } from "../../api/client";
import type { Column } from "../../parts/DataTable";
import { Empty } from "../../parts/Empty";
import { Failed } from "../../parts/Failed";
import { count } from "../../parts/format";
import { Loading } from "../../parts/Loading";
import styles from "./admin.module.css";
import { type Adding, Credentials, CredentialsPage } from "./Credentials";
import { NewKey } from "./NewKey";

type Key = Schema["Key"];

const COLUMNS: readonly Column<Key>[] = [
  { key: "scope", head: "Tenant", width: "8rem", cell: (key) => key.scope },
  { key: "models", head: "Models", cell: (key) => <code>{key.models.join(" ")}</code> },
  {
    key: "limits",
    head: "Limits",
    width: "10rem",
    cell: (key) => limitsOf(key) || <span className="soft">none</span>,
  },
];

/** Virtual keys of the gateway: who calls it, for which tenant, and what they may ask for. */
export default function KeysPage() {
  return (
    <CredentialsPage
      title="Keys"
      noun="key"
      about="API keys for clients of the gateway. A key sets the tenant of its calls and the models that it may use."
    >
      {(adding) => <Keys adding={adding} />}
    </CredentialsPage>
  );
}

function Keys({ adding }: { adding: Adding }) {
  const queries = useQueryClient();
  const { data, error, refetch } = api.useQuery("get", "/api/admin/keys");
  const revoke = api.useMutation("post", "/api/admin/keys/{id}/revoke");
  if (error) return <Failed error={error} retry={() => void refetch()} />;
  if (!data) return <Loading what="keys" />;
  return (
    <>
      {!data.needed && (
        <p className={styles.note}>
          The gateway requires no key now: anyone who can reach it may call it. It requires keys when it
          listens beyond this machine, or with the setting <code>gateway.require_keys</code>.
        </p>
      )}
      <Credentials
        label="Keys"
        noun="key"
        rows={data.keys}
        columns={COLUMNS}
        nameWidth="11rem"
        minWidth="58rem"
        empty={
          <Empty title="There are no keys">
            Create one for each client, to distinguish and limit its calls.
          </Empty>
        }
        adding={adding}
        form={(props) => <NewKey {...props} />}
        use="Clients send it as their API key."
        revoke={{
          title: (key) => `Revoke the key ${key.name}?`,
          effect: "Calls with it are refused within two seconds. It cannot be used again.",
          busy: revoke.isPending,
          error: revoke.error,
          act: (id, options) => revoke.mutate({ params: { path: { id } } }, options),
        }}
        onChanged={() => void queries.invalidateQueries({ queryKey: ["get", "/api/admin/keys"] })}
      />
    </>
  );
}

function limitsOf(key: Key): string {
  const parts = [];
  if (key.per_minute > 0) parts.push(`${count(key.per_minute)} a minute`);
  if (key.max_concurrency > 0) parts.push(`${count(key.max_concurrency)} at once`);
  return parts.join(", ");
}
