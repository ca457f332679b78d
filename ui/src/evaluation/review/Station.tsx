import { type ReactNode, useCallback, useDeferredValue, useEffect, useMemo, useRef, useState } from "react";
import type { Schema } from "../../api/client";
import { sentence } from "../../api/problem";
import { Button } from "../../parts/Button";
import { Chip } from "../../parts/Chip";
import { Loading } from "../../parts/Loading";
import { AnswerBar, type FieldName, fieldsOf, words } from "./AnswerBar";
import { type Answer, PLACES, type Place, toggled } from "./answer";
import { current, type Entry, editable, judged } from "./desk";
import { Ended } from "./Ended";
import { FindBar } from "./FindBar";
import { Guidelines } from "./Guidelines";
import { ItemView } from "./ItemView";
import { KeysDialog } from "./KeysDialog";
import { Notices } from "./Notices";
import { SkipDialog } from "./SkipDialog";
import styles from "./Station.module.css";
import { pace as paceOf } from "./timing";
import { useChoices } from "./useChoices";
import { type Filter, useDesk } from "./useDesk";
import { useDeskKeys, useKeys } from "./useKeys";

type Props = {
  reviewer: string;
  filter: Filter;
  guidelines: Schema["Guidelines"];
  /** Told when something was saved, with the pace of this visit. */
  onSaved: (pace: number | null) => void;
  /** Before the tools: which items are judged. */
  lead: ReactNode;
};

const RENDERED_AHEAD = 2;

/** Where items are judged, one after another. Those that come next are in the page already and only have to be shown. */
export function Station({ reviewer, filter, guidelines, onSaved, lead }: Props) {
  const station = useDesk(reviewer, filter);
  const { desk, answer, submit } = station;
  const [keys, setKeys] = useKeys(reviewer);
  const [choices, choose] = useChoices(reviewer);
  const [field, setField] = useState<FieldName>("preference");
  const [finding, setFinding] = useState(false);
  const [skipping, setSkipping] = useState(false);
  const [changingKeys, setChangingKeys] = useState(false);
  const comment = useRef<HTMLTextAreaElement>(null);
  const finder = useRef<HTMLInputElement>(null);
  const stage = useRef<HTMLDivElement>(null);
  const entry = current(desk);
  const lease = entry?.item.lease_id;
  const kind = entry?.item.kind ?? filter.kind;
  const fields = useMemo(() => fieldsOf(kind), [kind]);
  const shownField = fields.includes(field) ? field : (fields[0] ?? "comment");

  // biome-ignore lint/correctness/useExhaustiveDependencies: each item begins at its first field
  useEffect(() => {
    setField(fields[0] ?? "comment");
    if (document.activeElement instanceof HTMLElement && document.activeElement !== finder.current)
      document.activeElement.blur();
  }, [entry?.item.item_id]);

  // biome-ignore lint/correctness/useExhaustiveDependencies: told of each save
  useEffect(() => {
    onSaved(paceOf(judged(desk), station.seconds() * 1000));
  }, [station.saved]);

  const say = (said: Answer) => lease && answer(lease, said);
  const pick = (said: Answer) => {
    if (!entry || !lease || !editable(entry)) return;
    answer(lease, said);
    if (choices.goOn) submit(lease);
  };
  const place = (place: Place) => entry?.item.kind === "pair" && pick({ ...entry.answer, preference: place });
  const option = (number: number) => {
    if (!entry || !editable(entry)) return;
    if (shownField === "preference") {
      const wanted = PLACES[number - 1];
      if (wanted) place(wanted.place);
    } else if (shownField === "rating" && number <= guidelines.ratings.length)
      say({ ...entry.answer, rating: number });
    else if (shownField === "categories") {
      const category = guidelines.categories[number - 1];
      if (category) say(toggled(entry.answer, category.name));
    }
  };
  const step = (by: number) => {
    const next = fields[fields.indexOf(shownField) + by];
    if (!next) return;
    setField(next);
    if (next === "comment") comment.current?.focus();
    else comment.current?.blur();
  };
  const scroll = (by: number) => {
    const panes = stage.current?.querySelectorAll(`[data-lease="${lease}"] [data-scrolls]`) ?? [];
    for (const pane of panes) pane.scrollBy({ top: by * pane.clientHeight * 0.85 });
  };
  const onFind = useCallback(() => {
    setFinding(true);
    requestAnimationFrame(() => finder.current?.focus());
  }, []);
  const isPair = kind === "pair";
  const options = { preference: PLACES.length, rating: guidelines.ratings.length, comment: 0 };
  useDeskKeys(
    keys,
    {
      ...(isPair && {
        first: () => place("first"),
        second: () => place("second"),
        equal: () => place("equal"),
        bothBad: () => place("both_bad"),
        diff: () => choose({ diff: !choices.diff }),
      }),
      next: () => station.move(1),
      previous: () => station.move(-1),
      fieldDown: () => step(1),
      fieldUp: () => step(-1),
      option,
      submit: () => lease && submit(lease),
      comment: () => comment.current?.focus(),
      skip: () => entry && editable(entry) && setSkipping(true),
      flag: () => entry && lease && station.flag(lease, !entry.flagged, entry.answer.note),
      undo: () => void station.undo(),
      path: () => choose({ wholePath: !choices.wholePath }),
      find: onFind,
      guidelines: () => choose({ guidelines: !choices.guidelines }),
      reveal: () => choose({ reveal: !choices.reveal }),
      scrollDown: () => scroll(1),
      scrollUp: () => scroll(-1),
      leave: () => {
        if (document.activeElement instanceof HTMLElement) document.activeElement.blur();
        setFinding(false);
      },
    },
    shownField === "categories" ? guidelines.categories.length : (options[shownField] ?? 0),
    station.ready && (desk.entries.length > 0 || desk.exhausted),
  );

  // What a key shows is in the page already; what comes after it is put there once that was painted.
  const around = useDeferredValue(desk.at);
  const later = useDeferredValue(choices);
  const rendered = desk.entries.filter(
    (one, index) => (one === entry || Math.abs(index - around) <= RENDERED_AHEAD) && visible(one),
  );
  const waits = !station.ready || (!entry && !desk.exhausted && !station.claimError);
  return (
    <div className={styles.station} data-at={lease}>
      <div className={styles.tools}>
        {lead}
        <span className={styles.push} />
        {isPair && (
          <Toggle on={choices.diff} onClick={() => choose({ diff: !choices.diff })} hint={keys.diff[0]}>
            Diff
          </Toggle>
        )}
        <Toggle
          on={choices.wholePath}
          onClick={() => choose({ wholePath: !choices.wholePath })}
          hint={keys.path[0]}
        >
          Path
        </Toggle>
        <Toggle
          on={choices.guidelines}
          onClick={() => choose({ guidelines: !choices.guidelines })}
          hint={keys.guidelines[0]}
        >
          Guidelines
        </Toggle>
        <Toggle
          title="Show the models of judged items"
          on={choices.reveal}
          onClick={() => choose({ reveal: !choices.reveal })}
          hint={keys.reveal[0]}
        >
          Reveal
        </Toggle>
        {isPair && (
          <Toggle
            title="A preference is submitted by the key that gives it"
            on={choices.goOn}
            onClick={() => choose({ goOn: !choices.goOn })}
          >
            One key answers
          </Toggle>
        )}
        <Button kind="quiet" icon="key" onClick={() => setChangingKeys(true)}>
          Keys
        </Button>
      </div>
      {(finding || choices.reveal) && (
        <div className={styles.tools}>
          {finding && <FindBar input={finder} lease={lease} onClose={() => setFinding(false)} />}
          <span className={styles.push} />
          {choices.reveal && <LastRevealed entries={desk.entries} />}
        </div>
      )}
      <Notices
        desk={desk}
        shown={entry}
        notice={station.notice}
        onDismiss={() => station.setNotice("")}
        onRetry={station.retry}
        onGo={station.go}
      />
      <div className={styles.body}>
        <div ref={stage} className={styles.stage}>
          {rendered.map((one) => (
            <ItemView
              key={one.item.item_id}
              item={one.item}
              hidden={one !== entry}
              diff={(one === entry ? choices : later).diff}
              wholePath={(one === entry ? choices : later).wholePath}
              revealed={choices.reveal ? one.revealed : NONE}
            />
          ))}
          {waits && <Loading what="next item" />}
          {!entry && !waits && (
            <Ended
              judged={judged(desk)}
              problem={station.claimError ? sentence(station.claimError) : null}
              filter={filter}
              onAsk={station.refresh}
            />
          )}
        </div>
        {choices.guidelines && <Guidelines found={guidelines} kind={kind} />}
      </div>
      {entry && editable(entry) && (
        <AnswerBar
          entry={entry}
          guidelines={guidelines}
          keys={keys}
          field={shownField}
          onField={setField}
          onAnswer={say}
          onChoose={pick}
          onSubmit={() => lease && submit(lease)}
          onSkip={() => setSkipping(true)}
          onFlag={() => lease && station.flag(lease, !entry.flagged, entry.answer.note)}
          onUndo={() => void station.undo()}
          comment={comment}
        />
      )}
      {entry && !editable(entry) && (
        <div className={styles.done}>
          <span>
            <State entry={entry} /> <b>{saidOf(entry)}</b> {entry.answer.note && <q>{entry.answer.note}</q>}
          </span>
          <Button onClick={() => station.takeBack(entry.item.lease_id)}>Judge it again</Button>
        </div>
      )}
      <SkipDialog
        open={skipping}
        reasons={guidelines.skip_reasons}
        onClose={() => setSkipping(false)}
        onSkip={(reason, note) => {
          setSkipping(false);
          if (lease) station.skip(lease, reason, note);
        }}
      />
      <KeysDialog open={changingKeys} keys={keys} onChange={setKeys} onClose={() => setChangingKeys(false)} />
    </div>
  );
}

const NONE = [] as const;

/** What was done with is not in the page unless it is looked at again. */
function visible(entry: Entry): boolean {
  return entry.phase !== "skipped";
}

/** Whose answers the pair was that was judged last. */
function LastRevealed({ entries }: { entries: readonly Entry[] }) {
  const last = entries.findLast((entry) => entry.revealed.length > 0);
  if (!last) return <span className="soft">The models are shown here after you judge.</span>;
  const names = last.revealed.map(({ model }, side) =>
    last.item.kind === "pair" ? `${"AB"[side]} ${model}` : model,
  );
  return <span className="soft">last: {names.join(" · ")}</span>;
}

const STATES = {
  open: null,
  saving: ["plain", "saving"],
  saved: ["good", "✓ saved"],
  unsaved: ["bad", "not saved yet"],
  refused: ["bad", "not taken"],
  skipping: ["plain", "skipping"],
  skipped: ["plain", "skipped"],
} as const;

function State({ entry }: { entry: Entry }) {
  const state = STATES[entry.phase];
  return (
    <>
      {state && <Chip tone={state[0]}>{state[1]}</Chip>}
      {entry.flagged && <Chip tone="warn">⚑ flagged</Chip>}
    </>
  );
}

function saidOf(entry: Entry): string {
  if (entry.phase === "skipping" || entry.phase === "skipped") return "You skipped this.";
  if (entry.item.kind === "pair") {
    const label = PLACES.find(({ place }) => place === entry.answer.preference)?.label ?? "";
    return `You said: ${label}.`;
  }
  const named = entry.answer.categories.map(words).join(", ");
  return `You said: ${entry.answer.rating}${named ? `, ${named}` : ""}.`;
}

type Switch = { on: boolean; onClick: () => void; hint?: string; title?: string; children: ReactNode };

function Toggle(props: Switch) {
  return (
    <button
      type="button"
      title={props.title}
      className={styles.toggle}
      aria-pressed={props.on}
      onClick={props.onClick}
    >
      {props.children} {props.hint && <kbd>{props.hint}</kbd>}
    </button>
  );
}
