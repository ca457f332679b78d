import { useMutation } from "@tanstack/react-query";
import { useState } from "react";
import { client } from "../../api/client";
import { sentence } from "../../api/problem";
import { Button } from "../../parts/Button";
import { Dialog } from "../../parts/Dialog";
import { Field } from "../../parts/Field";

type Props = { id: string; name: string; onClose: () => void; onDone: () => void };

/** Names a cluster. */
export function NameDialog({ id, name, onClose, onDone }: Props) {
  const [typed, setTyped] = useState(name);
  const saving = useMutation({
    mutationFn: () =>
      client.POST("/api/clusters/{id}/name", { params: { path: { id } }, body: { name: typed } }),
    onSuccess: () => {
      onDone();
      onClose();
    },
  });
  return (
    <Dialog
      title="Name the cluster"
      open
      onClose={onClose}
      actions={
        <>
          <Button onClick={onClose}>Cancel</Button>
          <Button
            kind="primary"
            busy={saving.isPending}
            disabled={typed.trim() === "" || typed === name}
            onClick={() => saving.mutate()}
          >
            Save
          </Button>
        </>
      }
    >
      <Field label="Name" wide hint="The cluster keeps it when the clusters are fitted again.">
        <input value={typed} maxLength={120} onChange={(event) => setTyped(event.target.value)} />
      </Field>
      {saving.error && <p role="alert">{sentence(saving.error)}</p>}
    </Dialog>
  );
}
