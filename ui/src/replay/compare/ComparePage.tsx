import { useEffect, useState } from "react";
import { Link } from "wouter";
import { api } from "../../api/client";
import { Button } from "../../parts/Button";
import { Chip } from "../../parts/Chip";
import { CopyLink } from "../../parts/CopyLink";
import { ExportButtons } from "../../parts/ExportButtons";
import { Failed } from "../../parts/Failed";
import { counted, shortId } from "../../parts/format";
import { Loading } from "../../parts/Loading";
import { Page } from "../../parts/Page";
import { useShortcuts } from "../../parts/shortcuts";
import { toggled } from "../../parts/toggled";
import { useUrlState } from "../../parts/useUrlState";
import type { PageProps } from "../../shell/page";
import { brief } from "../form/brief";
import { AnswerCard } from "./AnswerCard";
import styles from "./compare.module.css";
import { baseOf, EXPORTED, exported } from "./figures";
import { useComparison, useReplaysRunning } from "./useComparison";
import { VariantFigures } from "./VariantFigures";

const SHOWN = 24;

/** All answers to one context: each variant's figures, and the answers side by side with what differs in words. */
export default function ComparePage({ params }: PageProps) {
  const node = params.node ?? "";
  const [variants, setVariants] = useUrlState("variant");
  const [base, setBase] = useUrlState("base");
  const [words, setWords] = useUrlState("words", "changed");
  const [most, setMost] = useState(SHOWN);
  const growing = useReplaysRunning();
  const { data, error, refetch } = useComparison(node, growing);
  const asked = api.useQuery("get", "/api/nodes/{id}", {
    params: { path: { id: node }, query: { limit: 1 } },
  }).data;
  const compared = words === "changed";
  useShortcuts("Compare", [
    {
      keys: "d",
      does: "show changed words, or answers as they are",
      run: () => setWords(compared ? "plain" : "changed"),
    },
  ]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: another node begins at its start
  useEffect(() => setMost(SHOWN), [node]);
  const chosen = variants.split(",").filter(Boolean);
  const answers =
    data?.alternatives.filter((one) => chosen.length === 0 || chosen.includes(one.variant_id)) ?? [];
  const compareWith = data && baseOf(data.alternatives, base);
  // The base is the first, so that it stays beside whatever is chosen.
  const shown = compareWith ? [compareWith, ...answers.filter((one) => one !== compareWith)] : answers;
  return (
    <Page
      title={`Answers to ${shortId(node)}`}
      crumbs={asked ? [{ label: "Session", href: `/nodes/${node}` }] : []}
      about={asked && <span className={styles.asked}>{brief(asked).asked}</span>}
      actions={
        data && (
          <>
            <CopyLink />
            <ExportButtons
              name={`answers-${shortId(node)}`}
              columns={EXPORTED}
              rows={() => exported(answers)}
            />
            <Link className={styles.primary} href={`/replay?nodes=${data.node_id}`}>
              Replay again
            </Link>
          </>
        )
      }
    >
      {error && !data ? (
        <Failed error={error} retry={() => void refetch()} />
      ) : !data ? (
        <Loading what="answers" />
      ) : (
        <>
          <VariantFigures
            variants={data.variants}
            chosen={chosen}
            onChoose={(variant) => setVariants(toggled(chosen, variant).join(","))}
          />
          <div className={styles.bar2}>
            <h2>
              {counted(answers.length, "answer")}
              {chosen.length > 0 && <span className="soft"> of {data.alternatives.length}</span>}
            </h2>
            {growing && <Chip tone="info">a replay is running</Chip>}
            {chosen.length > 0 && (
              <Button kind="quiet" icon="close" onClick={() => setVariants("")}>
                All variants
              </Button>
            )}
            <fieldset className={styles.switch}>
              <legend className="visually-hidden">How answers are shown</legend>
              <button type="button" aria-pressed={compared} onClick={() => setWords("changed")}>
                Changed words
              </button>
              <button type="button" aria-pressed={!compared} onClick={() => setWords("plain")}>
                As they are
              </button>
            </fieldset>
          </div>
          <div className={styles.cards}>
            {shown.slice(0, most).map((answer) => (
              <AnswerCard
                key={answer.turn_id}
                answer={answer}
                base={compareWith}
                compared={compared}
                onBase={(branch) => setBase(branch === "0" ? "" : branch)}
              />
            ))}
          </div>
          {shown.length > most && (
            <Button onClick={() => setMost(most + 4 * SHOWN)}>
              {counted(shown.length - most, "more answer")}
            </Button>
          )}
        </>
      )}
    </Page>
  );
}
