import { useMutation } from "@tanstack/react-query";
import { useState } from "react";
import { Link } from "wouter";
import { client } from "../../api/client";
import { sentence } from "../../api/problem";
import { Button } from "../../parts/Button";
import { Dialog } from "../../parts/Dialog";
import { Field } from "../../parts/Field";
import { count, counted } from "../../parts/format";
import { NumberInput } from "../../parts/NumberInput";

const AT_ONCE = 5_000; // paths that one request takes

async function send(units: readonly string[], reviewers: number) {
  const sum = { queued: 0, again: 0, unknown: 0 };
  for (let start = 0; start < units.length; start += AT_ONCE) {
    const { data } = await client.POST("/api/review/items", {
      body: { nodes: units.slice(start, start + AT_ONCE), pairs: [], reviewers },
    });
    if (!data) continue;
    sum.queued += data.queued;
    sum.again += data.again;
    sum.unknown += data.unknown;
  }
  return sum;
}

/** Puts paths first in the review queue, after asking by how many people. */
export function QueueDialog({ units, onClose }: { units: readonly string[]; onClose: () => void }) {
  const [reviewers, setReviewers] = useState(1);
  const sending = useMutation({ mutationFn: () => send(units, reviewers) });
  const done = sending.data;
  return (
    <Dialog
      title="Send to review"
      open
      onClose={onClose}
      actions={
        done ? (
          <Button kind="primary" onClick={onClose}>
            Close
          </Button>
        ) : (
          <>
            <Button onClick={onClose}>Cancel</Button>
            <Button kind="primary" busy={sending.isPending} onClick={() => sending.mutate()}>
              Send {counted(units.length, "path")}
            </Button>
          </>
        )
      }
    >
      {done ? (
        <p role="status">
          {count(done.queued)} new in the queue, {count(done.again)} asked for again
          {done.unknown > 0 && `, ${count(done.unknown)} left out: they end no path any more`}. They come
          first in <Link href="/review">the review</Link>.
        </p>
      ) : (
        <>
          <p>{counted(units.length, "path")} will come first in the queue; each is judged by</p>
          <Field label="People per path">
            <NumberInput
              min={1}
              max={100}
              value={reviewers}
              onValue={(value) => setReviewers(Math.max(1, Math.min(100, Number(value) || 1)))}
            />
          </Field>
          {sending.error && <p role="alert">{sentence(sending.error)}</p>}
        </>
      )}
    </Dialog>
  );
}
