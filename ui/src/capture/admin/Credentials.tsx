import { type ReactNode, useState } from "react";
import { sentence } from "../../api/problem";
import { Button } from "../../parts/Button";
import { Chip } from "../../parts/Chip";
import { type Column, DataTable } from "../../parts/DataTable";
import { Time } from "../../parts/Time";
import { AdminPage } from "./AdminPage";
import styles from "./admin.module.css";
import { Confirm } from "./Confirm";
import { SecretOnce } from "./SecretOnce";

/** What keys of the gateway and tokens of this page have in common. */
export type Credential = { id: string; name: string; created_at: string | null; revoked_at: string | null };

/** Whether a new one is being made. */
export type Adding = { open: boolean; onClose: () => void };

type PageProps = {
  title: string;
  about: string;
  /** What one of them is called. */
  noun: string;
  children: (adding: Adding) => ReactNode;
};

/** A page of credentials, with a button that makes a new one. */
export function CredentialsPage({ title, about, noun, children }: PageProps) {
  const [open, setOpen] = useState(false);
  return (
    <AdminPage
      title={title}
      about={about}
      actions={
        <Button kind="primary" icon="plus" onClick={() => setOpen(true)}>
          {`New ${noun}`}
        </Button>
      }
    >
      {() => children({ open, onClose: () => setOpen(false) })}
    </AdminPage>
  );
}

type Props<Row extends Credential> = {
  label: string;
  noun: string;
  rows: readonly Row[];
  /** The columns that only this kind has. */
  columns: readonly Column<Row>[];
  nameWidth?: string;
  minWidth: string;
  /** Shown where there are none. */
  empty: ReactNode;
  adding: Adding;
  /** The dialog that makes a new one; it gives the secret. */
  form: (props: Adding & { onMade: (secret: string) => void }) => ReactNode;
  /** How a new secret is used. */
  use: string;
  revoke: {
    title: (row: Row) => string;
    effect: string;
    busy: boolean;
    error: unknown;
    act: (id: string, options: { onSuccess: () => void }) => void;
  };
  onChanged: () => void;
};

/** A table of credentials: a new one is shown once, and each can be revoked. */
export function Credentials<Row extends Credential>(props: Props<Row>) {
  const { label, noun, rows, columns, nameWidth, minWidth, empty, adding, form, use, revoke, onChanged } =
    props;
  const [secret, setSecret] = useState("");
  const [ending, setEnding] = useState<Row | null>(null);
  const all: readonly Column<Row>[] = [
    {
      key: "name",
      head: "Name",
      width: nameWidth,
      cell: (row) => <span className={row.revoked_at ? styles.gone : undefined}>{row.name}</span>,
    },
    { key: "id", head: "Id", width: "7rem", cell: (row) => <code>{row.id.slice(0, 8)}</code> },
    ...columns,
    { key: "made", head: "Made", width: "8.5rem", cell: (row) => <Time at={row.created_at} /> },
    {
      key: "state",
      head: "State",
      width: "7rem",
      cell: (row) =>
        row.revoked_at ? (
          <Chip title={row.revoked_at}>revoked</Chip>
        ) : (
          <Button kind="quiet" className={styles.act} onClick={() => setEnding(row)}>
            Revoke
          </Button>
        ),
    },
  ];
  const made = (text: string) => {
    adding.onClose();
    setSecret(text);
    onChanged();
  };
  const onSuccess = () => {
    setEnding(null);
    onChanged();
  };
  return (
    <>
      {rows.length === 0 ? (
        empty
      ) : (
        <DataTable label={label} columns={all} rows={rows} rowKey={(row) => row.id} minWidth={minWidth} />
      )}
      {form({ ...adding, onMade: made })}
      <SecretOnce title={`The new ${noun}`} secret={secret} use={use} onClose={() => setSecret("")} />
      <Confirm
        title={ending ? revoke.title(ending) : ""}
        act="Revoke"
        open={ending !== null}
        busy={revoke.busy}
        onAct={() => ending && revoke.act(ending.id, { onSuccess })}
        onClose={() => setEnding(null)}
      >
        <p>{revoke.effect}</p>
        {revoke.error != null && <p className={styles.problem}>{sentence(revoke.error)}</p>}
      </Confirm>
    </>
  );
}
