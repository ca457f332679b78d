import { useQueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { useLocation } from "wouter";
import { api } from "../../api/client";
import { ApiProblem, sentence } from "../../api/problem";
import { Button } from "../../parts/Button";
import { Dialog } from "../../parts/Dialog";
import { Field } from "../../parts/Field";
import styles from "../dialogs.module.css";

type Props = {
  open: boolean;
  onClose: () => void;
  text: string;
  /** The name that it is saved under already, or empty. */
  name: string;
  suggested: string;
  onSaved: () => void;
};

/** Saves a recipe in the folder of recipes; one that is there is replaced only when that is asked for. */
export function SaveDialog({ open, onClose, text, name, suggested, onSaved }: Props) {
  const [, go] = useLocation();
  const queries = useQueryClient();
  const [as, setAs] = useState("");
  const [replace, setReplace] = useState(false);
  useEffect(() => {
    if (!open) return;
    setAs(name || suggested);
    setReplace(name !== "");
  }, [open, name, suggested]);
  const save = api.useMutation("put", "/api/recipes/{name}", {
    onSuccess: () => {
      void queries.invalidateQueries({ queryKey: ["get", "/api/recipes"] });
      void queries.invalidateQueries({ queryKey: ["get", "/api/recipes/{name}"] });
      onSaved();
      onClose();
      go(`/datasets/recipes/${as}`);
    },
  });
  const there = save.error instanceof ApiProblem && save.error.status === 409;
  return (
    <Dialog
      title="Save the recipe"
      open={open}
      onClose={onClose}
      actions={
        <>
          <Button onClick={onClose}>Not now</Button>
          <Button
            kind="primary"
            busy={save.isPending}
            onClick={() => save.mutate({ params: { path: { name: as } }, body: { text, replace } })}
          >
            Save
          </Button>
        </>
      }
    >
      <div className={styles.content}>
        <Field
          label="Name"
          wide
          hint="It becomes a file NAME.toml in the server's folder of recipes, for everyone."
          problem={save.error ? sentence(save.error) : undefined}
        >
          <input value={as} onChange={(event) => setAs(event.target.value)} maxLength={63} />
        </Field>
        {(there || name) && (
          <label className={styles.check}>
            <input type="checkbox" checked={replace} onChange={(event) => setReplace(event.target.checked)} />
            Replace the recipe of this name
          </label>
        )}
      </div>
    </Dialog>
  );
}
