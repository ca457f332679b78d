import { useQueryClient } from "@tanstack/react-query";
import { api, type Schema } from "../../api/client";
import { Chip } from "../../parts/Chip";
import type { Column } from "../../parts/DataTable";
import { Empty } from "../../parts/Empty";
import { Failed } from "../../parts/Failed";
import { count, counted } from "../../parts/format";
import { Loading } from "../../parts/Loading";
import { Time } from "../../parts/Time";
import { type Adding, Credentials, CredentialsPage } from "./Credentials";
import { NewToken } from "./NewToken";

type Token = Schema["Token"];

const COLUMNS: readonly Column<Token>[] = [
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
];

/** Tokens of the web UI: who signs in with one, and what they may do. */
export default function TokensPage() {
  return (
    <CredentialsPage
      title="Tokens"
      noun="token"
      about="Tokens for the web UI and its API. A viewer reads, a reviewer also judges, an admin does everything."
    >
      {(adding) => <Tokens adding={adding} />}
    </CredentialsPage>
  );
}

function Tokens({ adding }: { adding: Adding }) {
  const queries = useQueryClient();
  const { data, error, refetch } = api.useQuery("get", "/api/admin/tokens");
  const revoke = api.useMutation("post", "/api/admin/tokens/{id}/revoke");
  if (error) return <Failed error={error} retry={() => void refetch()} />;
  if (!data) return <Loading what="tokens" />;
  return (
    <>
      <p className="soft">
        The owner of the data folder needs no token: {counted(data.owner_browsers, "browser")} signed in by{" "}
        <code>regraft open</code>.
      </p>
      <Credentials
        label="Tokens"
        noun="token"
        rows={data.tokens}
        columns={COLUMNS}
        minWidth="60rem"
        empty={
          <Empty title="There are no tokens">
            Without tokens, anyone on this machine can read everything and change nothing. Once a token
            exists, everyone must sign in.
          </Empty>
        }
        adding={adding}
        form={(props) => <NewToken {...props} first={data.tokens.length === 0} />}
        use="Its user signs in with it on this page; a program sends it as a Bearer token."
        revoke={{
          title: (token) => `Revoke the token of ${token.name}?`,
          effect: "It is refused within two seconds, and browsers that signed in with it are signed out.",
          busy: revoke.isPending,
          error: revoke.error,
          act: (id, options) => revoke.mutate({ params: { path: { id } } }, options),
        }}
        onChanged={() => void queries.invalidateQueries({ queryKey: ["get", "/api/admin/tokens"] })}
      />
    </>
  );
}
