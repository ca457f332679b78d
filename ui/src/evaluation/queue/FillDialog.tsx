import { useMutation, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { client, type Schema } from "../../api/client";
import { sentence } from "../../api/problem";
import { Button } from "../../parts/Button";
import { Dialog } from "../../parts/Dialog";
import { Field } from "../../parts/Field";
import { counted } from "../../parts/format";
import { NumberInput } from "../../parts/NumberInput";
import styles from "./FillDialog.module.css";

type Props = {
  open: boolean;
  defaults: Schema["FillDefaults"];
  filling: Schema["QueueFilling"] | null;
  onClose: () => void;
};

/** Asks how full the queue shall be, and fills it. */
export function FillDialog({ open, defaults, filling, onClose }: Props) {
  const [kinds, setKinds] = useState<("unit" | "pair")[]>(["unit", "pair"]);
  const [size, setSize] = useState(`${defaults.size}`);
  const [reviewers, setReviewers] = useState(`${defaults.reviewers}`);
  const [overlap, setOverlap] = useState(`${Math.round(defaults.overlap * 100)}`);
  const [random, setRandom] = useState(`${Math.round(defaults.random_share * 100)}`);
  const queries = useQueryClient();
  const fill = useMutation({
    mutationFn: async () => {
      const body = {
        kinds,
        size: Number(size),
        reviewers: Number(reviewers),
        overlap: Number(overlap) / 100,
        random_share: Number(random) / 100,
        refresh: true,
      };
      return (await client.POST("/api/review/queue/fill", { body })).data;
    },
    onSuccess: () =>
      queries.invalidateQueries({ predicate: ({ queryKey }) => `${queryKey[1]}`.includes("/review/") }),
  });
  const mine = filling && filling.job_id === fill.data?.job_id ? filling : null;
  const runs = fill.isPending || (filling !== null && ["waiting", "running"].includes(filling.state));
  const toggle = (kind: "unit" | "pair") =>
    setKinds(kinds.includes(kind) ? kinds.filter((one) => one !== kind) : [...kinds, kind]);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    fill.mutate();
  };
  return (
    <Dialog
      title="Fill the queue"
      open={open}
      onClose={onClose}
      actions={
        <>
          <Button onClick={onClose}>{mine?.filled ? "Done" : runs ? "Close" : "Cancel"}</Button>
          <Button kind="primary" type="submit" form="fill" busy={runs} disabled={kinds.length === 0}>
            {runs ? "Filling …" : "Fill"}
          </Button>
        </>
      }
    >
      <form id="fill" className={styles.form} onSubmit={submit}>
        <fieldset>
          <legend>What people judge</legend>
          <label>
            <input type="checkbox" checked={kinds.includes("pair")} onChange={() => toggle("pair")} /> two
            answers
          </label>
          <label>
            <input type="checkbox" checked={kinds.includes("unit")} onChange={() => toggle("unit")} /> whole
            paths
          </label>
        </fieldset>
        <Field label="Open items of each" hint="Target number of open items.">
          <NumberInput required min={1} max={1_000_000} value={size} onValue={setSize} />
        </Field>
        <Field label="People who judge each">
          <NumberInput required min={1} max={100} value={reviewers} onValue={setReviewers} />
        </Field>
        <Field label="Judged by one more, %" hint="So that agreement can be measured.">
          <NumberInput required min={0} max={100} value={overlap} onValue={setOverlap} />
        </Field>
        <Field label="Random sample, %" hint="So that shares can be estimated without bias.">
          <NumberInput required min={0} max={100} value={random} onValue={setRandom} />
        </Field>
      </form>
      <p role="status" className={styles.done}>
        {runs &&
          "New paths are measured and pairs proposed first. Reviewers can continue, and this window may be closed."}
        {mine?.filled &&
          `${counted(mine.filled.added, "item")} added, ${mine.filled.gone} gone, ${counted(mine.filled.open, "item")} open, of ${mine.filled.candidates} that may be judged.`}
      </p>
      {mine?.error && (
        <p role="alert" className={styles.bad}>
          {mine.error}
        </p>
      )}
      {fill.error && (
        <p role="alert" className={styles.bad}>
          {sentence(fill.error)}
        </p>
      )}
    </Dialog>
  );
}
