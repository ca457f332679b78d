import { useMutation } from "@tanstack/react-query";
import { useState } from "react";
import { api, client, type Schema } from "../../api/client";
import { sentence } from "../../api/problem";
import { Button } from "../../parts/Button";
import { Dialog } from "../../parts/Dialog";
import { Field } from "../../parts/Field";
import { counted } from "../../parts/format";
import { Time } from "../../parts/Time";
import styles from "./themes.module.css";

type ThemeRow = Schema["ThemeFigures"];

type Props = { theme: ThemeRow; others: readonly ThemeRow[]; onClose: () => void; onDone: () => void };

/** Renames, merges or describes a theme, and shows who did what before. */
export function ThemeDialog({ theme, others, onClose, onDone }: Props) {
  const id = theme.theme_id ?? "";
  const [name, setName] = useState(theme.name);
  const [description, setDescription] = useState(theme.description);
  const history = api.useQuery("get", "/api/themes/{id}/changes", { params: { path: { id }, query: {} } });
  const wanted = name.trim().replace(/\s+/g, " ");
  const target = others.find(
    (one) => one.theme_id !== id && one.name === wanted && one.scope === theme.scope && one.theme_id,
  );
  const same = wanted === theme.name && description === theme.description;
  const saving = useMutation({
    mutationFn: () => {
      const body = {
        name: wanted === theme.name ? null : wanted,
        description: description === theme.description ? null : description,
      };
      return client.POST("/api/themes/{id}", { params: { path: { id } }, body });
    },
    onSuccess: () => {
      onDone();
      onClose();
    },
  });
  return (
    <Dialog
      title={`Theme ${theme.name}`}
      open
      onClose={onClose}
      actions={
        <>
          <Button onClick={onClose}>Cancel</Button>
          <Button
            kind={target ? "danger" : "primary"}
            busy={saving.isPending}
            disabled={same || wanted === ""}
            onClick={() => saving.mutate()}
          >
            {target ? `Merge into ${target.name}` : "Save"}
          </Button>
        </>
      }
    >
      <div className={styles.form}>
        <Field label="Name" wide hint="The name of another theme merges both.">
          <input value={name} maxLength={120} onChange={(event) => setName(event.target.value)} />
        </Field>
        {target && (
          <p role="alert" className={styles.warning}>
            {counted(theme.sessions, "session")} will be filed under {target.name}, and calls that name{" "}
            {theme.name} too. This cannot be taken back: the sessions of both cannot be told apart by their
            theme again. Labels and frozen datasets stay as they are.
          </p>
        )}
        <Field label="About" wide>
          <textarea
            rows={3}
            value={description}
            maxLength={2000}
            onChange={(event) => setDescription(event.target.value)}
          />
        </Field>
        {saving.error && <p role="alert">{sentence(saving.error)}</p>}
        <History acts={history.data?.acts ?? []} />
      </div>
    </Dialog>
  );
}

function History({ acts }: { acts: readonly Schema["ThemeAct"][] }) {
  if (acts.length === 0) return null;
  return (
    <section>
      <h3>What was changed</h3>
      <ul className={styles.history}>
        {acts.map((act) => (
          <li key={`${act.made_at} ${act.called} ${act.theme}`}>
            <Time at={act.made_at} /> <strong>{act.made_by}</strong>{" "}
            {act.description !== null ? `described ${act.theme}` : `filed ${act.called} under ${act.theme}`}
          </li>
        ))}
      </ul>
    </section>
  );
}
