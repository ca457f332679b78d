import { useState } from "react";
import { api, type Schema } from "../../api/client";
import { Field } from "../../parts/Field";
import { useMe } from "../../shell/session";
import styles from "./admin.module.css";
import { NewCredential } from "./NewCredential";

type Role = Schema["Token"]["role"];

type Props = { open: boolean; first: boolean; onClose: () => void; onMade: (secret: string) => void };

/** The form of a new token. `first`: there is none yet. */
export function NewToken({ open, first, onClose, onMade }: Props) {
  const own = useMe()?.scope ?? null;
  const [name, setName] = useState("");
  const [role, setRole] = useState<Role>("reviewer");
  const [scope, setScope] = useState("");
  const create = api.useMutation("post", "/api/admin/tokens", {
    onSuccess: (made) => {
      setName("");
      setScope("");
      onMade(made.secret);
    },
  });
  return (
    <NewCredential
      noun="token"
      open={open}
      busy={create.isPending}
      error={create.error}
      onMake={() => create.mutate({ body: { name, role, scope: own ?? (scope || null) } })}
      onClose={onClose}
    >
      {first && (
        <p className={styles.note}>
          Once a token exists, everyone needs one, even to read and on this machine.
        </p>
      )}
      <Field label="Name" hint="The user of the token. Judgements have this name." wide>
        <input required maxLength={200} value={name} onChange={(event) => setName(event.target.value)} />
      </Field>
      <Field label="Role" wide>
        <select value={role} onChange={(event) => setRole(event.target.value as Role)}>
          <option value="viewer">viewer: reads</option>
          <option value="reviewer">reviewer: reads and judges</option>
          <option value="admin">admin: changes everything</option>
        </select>
      </Field>
      {own === null && (
        <Field label="Tenant" hint="Whose data it sees; empty: all." wide>
          <input maxLength={200} value={scope} onChange={(event) => setScope(event.target.value)} />
        </Field>
      )}
    </NewCredential>
  );
}
