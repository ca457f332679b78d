import { useState } from "react";
import { api } from "../../api/client";
import { Field } from "../../parts/Field";
import { useMe } from "../../shell/session";
import styles from "./admin.module.css";
import { NewCredential } from "./NewCredential";

const NOTHING = { name: "", scope: "", models: "*", perMinute: "0", atOnce: "0" };

type Props = { open: boolean; onClose: () => void; onMade: (secret: string) => void };

/** The form of a new key. */
export function NewKey({ open, onClose, onMade }: Props) {
  const own = useMe()?.scope ?? null;
  const [values, setValues] = useState(NOTHING);
  const create = api.useMutation("post", "/api/admin/keys", {
    onSuccess: (made) => {
      setValues(NOTHING);
      onMade(made.secret);
    },
  });
  const field = (name: keyof typeof NOTHING) => ({
    value: values[name],
    onChange: (event: { target: { value: string } }) => setValues({ ...values, [name]: event.target.value }),
  });
  const make = () =>
    create.mutate({
      body: {
        name: values.name,
        scope: own ?? (values.scope || null),
        models: values.models.split(/[\s,]+/).filter(Boolean),
        per_minute: Number(values.perMinute) || 0,
        max_concurrency: Number(values.atOnce) || 0,
      },
    });
  return (
    <NewCredential
      noun="key"
      open={open}
      busy={create.isPending}
      error={create.error}
      onMake={make}
      onClose={onClose}
    >
      <Field label="Name" hint="Which client uses it." wide>
        <input required maxLength={200} {...field("name")} />
      </Field>
      {own === null && (
        <Field label="Tenant" hint="Of its calls; empty: default." wide>
          <input maxLength={200} {...field("scope")} />
        </Field>
      )}
      <Field label="Models" hint="Globs such as gpt-*, with blanks between them." wide>
        <input {...field("models")} />
      </Field>
      <div className={styles.pair}>
        <Field label="Calls a minute" hint="0: no limit." wide>
          <input type="number" min={0} {...field("perMinute")} />
        </Field>
        <Field label="Calls at once" hint="0: no limit." wide>
          <input type="number" min={0} {...field("atOnce")} />
        </Field>
      </div>
    </NewCredential>
  );
}
