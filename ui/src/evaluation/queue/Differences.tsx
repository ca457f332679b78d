import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useMemo, useState } from "react";
import { api, client, type Schema } from "../../api/client";
import { sentence } from "../../api/problem";
import { Button } from "../../parts/Button";
import { Chip } from "../../parts/Chip";
import { Empty } from "../../parts/Empty";
import { Failed } from "../../parts/Failed";
import { counted } from "../../parts/format";
import { Loading } from "../../parts/Loading";
import { useShortcuts } from "../../parts/shortcuts";
import { useUrlState } from "../../parts/useUrlState";
import { useMe } from "../../shell/session";
import { type Item, PLACES } from "../review/answer";
import { ItemView } from "../review/ItemView";
import styles from "./QueuePage.module.css";
import { kindName, saidCounts } from "./shares";

type Dispute = Schema["Dispute"];
const LETTERS = { first: "a", second: "b", equal: "e", both_bad: "x" } as const;

/** What people differ on, one after another, for somebody who decides it. Blind, as for reviewers. */
export function Differences() {
  const [theme, setTheme] = useUrlState("theme");
  const [at, setAt] = useState(0);
  const [whole, setWhole] = useState(false);
  const [diff, setDiff] = useState(false);
  const [note, setNote] = useState("");
  const judges = useMe()?.role !== "viewer";
  const queries = useQueryClient();
  const query = { limit: 50, theme: theme || undefined };
  const found = api.useQuery("get", "/api/review/disputes", { params: { query } });
  const disputes = found.data?.disputes ?? [];
  const shown = disputes[Math.min(at, disputes.length - 1)];
  const decide = useMutation({
    mutationFn: (how: Pick<Schema["SubmitRequest"], "preference" | "rating">) =>
      client.POST("/api/review/disputes/{subject_id}", {
        params: { path: { subject_id: shown?.subject_id ?? "" } },
        body: { categories: [], note, ...how },
      }),
    onSuccess: () => {
      setNote("");
      return queries.invalidateQueries({
        predicate: ({ queryKey }) => `${queryKey[1]}`.includes("/review/"),
      });
    },
  });
  const say = (how: Parameters<typeof decide.mutate>[0]) => judges && !decide.isPending && decide.mutate(how);
  const isPair = shown?.kind === "pair";
  useShortcuts(
    "Differences",
    [
      ...(isPair
        ? PLACES.map(({ place, label }) => ({
            keys: LETTERS[place],
            does: label,
            run: () => say({ preference: place }),
          }))
        : [1, 2, 3, 4, 5].map((rating) => ({
            keys: `${rating}`,
            does: `Rate ${rating}`,
            run: () => say({ rating }),
          }))),
      { keys: "j | ArrowRight", does: "Next", run: () => setAt(Math.min(at + 1, disputes.length - 1)) },
      { keys: "k | ArrowLeft", does: "Previous", run: () => setAt(Math.max(at - 1, 0)) },
      { keys: "o", does: "Show the path to the root", run: () => setWhole(!whole) },
      { keys: "d", does: "Compare word by word", run: () => setDiff(!diff) },
    ],
    shown !== undefined,
  );
  const item = useMemo(() => (shown ? itemOf(shown) : null), [shown]);
  if (found.error) return <Failed error={found.error} retry={() => void found.refetch()} />;
  if (found.isPending) return <Loading what="differences" />;
  if (!shown || !item)
    return (
      <Empty title="There are no disputes to adjudicate">
        {theme && <Button onClick={() => setTheme("")}>Look at all themes</Button>}
      </Empty>
    );
  return (
    <div className={styles.differences}>
      <div className={styles.filters}>
        <b>
          {Math.min(at, disputes.length - 1) + 1} of {disputes.length}
          {disputes.length === query.limit && "+"}
        </b>
        <span>
          {kindName(shown.kind)} · {shown.theme || "no theme"}
        </span>
        {shown.contested && <Chip tone="bad">✕ contested theme</Chip>}
        <span>
          {counted(shown.people, "person", "people")} said: <b>{saidCounts(shown.said)}</b>
        </span>
        <span className={styles.push} />
        <Button onClick={() => setAt(Math.max(at - 1, 0))} disabled={at === 0}>
          Previous <kbd>k</kbd>
        </Button>
        <Button onClick={() => setAt(at + 1)} disabled={at >= disputes.length - 1}>
          Next <kbd>j</kbd>
        </Button>
        <Button aria-pressed={whole} onClick={() => setWhole(!whole)}>
          Whole path <kbd>o</kbd>
        </Button>
        {isPair && (
          <Button aria-pressed={diff} onClick={() => setDiff(!diff)}>
            Differences <kbd>d</kbd>
          </Button>
        )}
      </div>
      {shown.notes.length > 0 && (
        <ul className={styles.notes}>
          {shown.notes.map((each, index) => (
            <li key={index}>“{each}”</li>
          ))}
        </ul>
      )}
      <div className={styles.dispute}>
        <ItemView item={item} hidden={false} diff={diff} wholePath={whole} revealed={[]} />
      </div>
      {judges ? (
        <div className={styles.decide}>
          {isPair
            ? PLACES.map(({ place, label }) => (
                <Button key={place} busy={decide.isPending} onClick={() => say({ preference: place })}>
                  <kbd>{LETTERS[place]}</kbd> {label}
                </Button>
              ))
            : [1, 2, 3, 4, 5].map((rating) => (
                <Button key={rating} busy={decide.isPending} onClick={() => say({ rating })}>
                  <kbd>{rating}</kbd> {rating === 1 ? "worst" : rating === 5 ? "best" : ""}
                </Button>
              ))}
          <input
            aria-label="Why"
            placeholder="Why (before you decide)"
            maxLength={10_000}
            value={note}
            onChange={(event) => setNote(event.target.value)}
          />
          <span className="soft">Your decision replaces the other labels.</span>
        </div>
      ) : (
        <p className="soft">Sign in as a reviewer to decide.</p>
      )}
      {decide.error && <p role="alert">{sentence(decide.error)}</p>}
    </div>
  );
}

/** A dispute as the view of items takes it. */
function itemOf(dispute: Dispute): Item {
  return {
    ...{
      lease_id: dispute.subject_id,
      item_id: dispute.subject_id,
      kind: dispute.kind,
      theme: dispute.theme,
    },
    ...{ cluster_id: null, category: null, expires_at: "", flagged: false, draft: null },
    ...{ history: dispute.history, answers: dispute.answers },
    ...{ history_text: dispute.history_text, answer_texts: dispute.answer_texts },
  };
}
