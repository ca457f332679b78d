import { type FormEvent, useId, useState } from "react";
import { api, type Schema } from "../../api/client";
import { sentence } from "../../api/problem";
import { Button } from "../../parts/Button";
import { Dialog } from "../../parts/Dialog";
import { Field } from "../../parts/Field";
import { useMe } from "../../shell/session";
import styles from "./admin.module.css";

type Role = Schema["Token"]["role"];

type Props = { open: boolean; first: boolean; onClose: () => void; onMade: (secret: string) => void };

/** The form of a new token. `first`: there is none yet. */
export function NewToken({ open, first, onClose, onMade }: Props) {
  const form = useId();
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
  const submit = (event: FormEvent) => {
    event.preventDefault();
    create.mutate({ body: { name, role, scope: own ?? (scope || null) } });
  };
  return (
    <Dialog
      title="New token"
      open={open}
      onClose={onClose}
      actions={
        <>
          <Button onClick={onClose}>Cancel</Button>
          <Button kind="primary" type="submit" form={form} busy={create.isPending}>
            Make the token
          </Button>
        </>
      }
    >
      <form id={form} className={styles.form} onSubmit={submit}>
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
        {create.error && (
          <p role="alert" className={styles.problem}>
            {sentence(create.error)}
          </p>
        )}
      </form>
    </Dialog>
  );
}
