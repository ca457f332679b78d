import { useMutation } from "@tanstack/react-query";
import { useState } from "react";
import { client } from "../../api/client";
import { sentence } from "../../api/problem";
import { Button } from "../../parts/Button";
import { Dialog } from "../../parts/Dialog";
import { Field } from "../../parts/Field";
import { numbersOf } from "../form/form";
import styles from "./plan.module.css";
import { canResume, type Progress } from "./state";

type Props = { plan: Progress; onChanged: () => void };

/** Stops a plan, or goes on with it under the same limits or others. */
export function PlanActions({ plan, onChanged }: Props) {
  const [asking, setAsking] = useState(false);
  const path = { id: plan.plan_id };
  const cancel = useMutation({
    mutationFn: () => client.POST("/api/replays/{id}/cancel", { params: { path } }),
    onSettled: onChanged,
  });
  const stopping = plan.cancel_requested_at !== null && plan.state === "running";
  return (
    <>
      {(plan.state === "running" || plan.state === "planned") && (
        <Button
          kind="danger"
          icon="close"
          busy={cancel.isPending || stopping}
          onClick={() => cancel.mutate()}
        >
          {stopping ? "Cancelling …" : "Cancel"}
        </Button>
      )}
      {canResume(plan) && (
        <Button kind="primary" icon="replay" onClick={() => setAsking(true)}>
          Resume
        </Button>
      )}
      {cancel.error && <span className={styles.problem}>{sentence(cancel.error)}</span>}
      {asking && <ResumeDialog plan={plan} onClose={() => setAsking(false)} onChanged={onChanged} />}
    </>
  );
}

function ResumeDialog({ plan, onClose, onChanged }: Props & { onClose: () => void }) {
  const [tokens, setTokens] = useState(plan.budget_tokens?.toString() ?? "");
  const [money, setMoney] = useState(plan.budget_money?.toString() ?? "");
  const [atOnce, setAtOnce] = useState(plan.concurrency.toString());
  const read = {
    budget_tokens: numbersOf(tokens, { whole: true, least: 1 }),
    budget_money: numbersOf(money, { least: 0 }),
    concurrency: numbersOf(atOnce, { whole: true, least: 1, most: 64 }),
  };
  const sound = Object.values(read).every(({ problem }) => !problem);
  const resume = useMutation({
    mutationFn: () =>
      client.POST("/api/replays/{id}/resume", {
        params: { path: { id: plan.plan_id } },
        body: {
          budget_tokens: read.budget_tokens.values[0] ?? null,
          budget_money: read.budget_money.values[0] ?? null,
          concurrency: read.concurrency.values[0] ?? null,
        },
      }),
    onSuccess: () => {
      onClose();
      onChanged();
    },
  });
  return (
    <Dialog
      title="Resume"
      open
      onClose={onClose}
      actions={
        <>
          <Button onClick={onClose}>Not now</Button>
          <Button
            kind="primary"
            icon="replay"
            disabled={!sound}
            busy={resume.isPending}
            onClick={() => resume.mutate()}
          >
            Resume
          </Button>
        </>
      }
    >
      <p className="soft">Calls that are left, and those that failed, are made. What was answered stays.</p>
      <div className={styles.limits}>
        <Field label="Calls at once" problem={read.concurrency.problem} wide>
          <input inputMode="numeric" value={atOnce} onChange={(event) => setAtOnce(event.target.value)} />
        </Field>
        <Field label="Tokens at most, of the whole plan" problem={read.budget_tokens.problem} wide>
          <input
            inputMode="numeric"
            placeholder="no limit"
            value={tokens}
            onChange={(event) => setTokens(event.target.value)}
          />
        </Field>
        <Field label="Money at most, of the whole plan" problem={read.budget_money.problem} wide>
          <input
            inputMode="decimal"
            placeholder="no limit"
            value={money}
            onChange={(event) => setMoney(event.target.value)}
          />
        </Field>
      </div>
      {resume.error && <p className={styles.problem}>{sentence(resume.error)}</p>}
    </Dialog>
  );
}
