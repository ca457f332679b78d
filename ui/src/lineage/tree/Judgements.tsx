import { useQuery } from "@tanstack/react-query";
import { Link } from "wouter";
import { client } from "../../api/client";
import { Chip } from "../../parts/Chip";
import { figure, percent, shortId } from "../../parts/format";
import { Time } from "../../parts/Time";
import styles from "./TurnPanel.module.css";

/** What people, judges, rules and clients say of a node. Nothing is shown where nothing was said. */
export function Judgements({ node }: { node: string }) {
  const params = { path: { id: node } };
  const said = useQuery({
    queryKey: ["judgements", node],
    queryFn: async () => (await client.GET("/api/nodes/{id}/judgements", { params })).data,
  }).data;
  const labels = useQuery({
    queryKey: ["node-categories", node],
    queryFn: async () => (await client.GET("/api/nodes/{id}/categories", { params })).data,
    retry: false,
  }).data?.labels;
  const votes = useQuery({
    queryKey: ["votes", node],
    queryFn: async () => (await client.GET("/api/nodes/{id}/votes", { params })).data,
  }).data?.votes;
  const decided = (labels ?? []).filter((label) => label.decided && (label.value ?? 0) > 0);
  const some = said && (said.ratings.length || said.preferences.length || said.feedback.length);
  if (!some && decided.length === 0 && !votes?.length) return null;
  return (
    <section className={styles.stack}>
      <h2>Said of it</h2>
      {decided.length > 0 && (
        <div className={styles.runs}>
          {decided.map((label) => (
            <Chip
              key={`${label.category} ${label.layer} ${label.maker}`}
              title={`${label.layer}: ${label.maker}${label.evidence.length ? `. ${label.evidence.join("; ")}` : ""}`}
            >
              {label.category} <span className="soft">{label.maker}</span>
            </Chip>
          ))}
        </div>
      )}
      <ul className={styles.list}>
        {said?.ratings.map((each) => (
          <li key={`${each.by} ${each.at}`}>
            <b>{each.by}</b> rates it {figure(each.rating, each.source === "judge" ? 1 : 0)} of 5
            {each.adjudicates && ", which settles it"}
            {each.categories.length > 0 && `: ${each.categories.join(", ")}`}
            {each.note && ` – “${each.note}”`}{" "}
            <span className="soft">
              <Time at={each.at} />
            </span>
          </li>
        ))}
        {said?.preferences.map((each) => (
          <li key={`${each.by} ${each.other_node_id} ${each.at}`}>
            <b>{each.by}</b> {WORDS[each.outcome]}{" "}
            <Link href={`/nodes/${each.other_node_id}`}>{shortId(each.other_node_id)}</Link>
            {each.note && ` – “${each.note}”`}{" "}
            <span className="soft">
              <Time at={each.at} />
            </span>
          </li>
        ))}
        {said?.feedback.map((each) => (
          <li key={`${each.name} ${each.at}`}>
            <b>{each.source}</b> reports {each.name} {each.value}
            {each.comment && ` – “${each.comment}”`}{" "}
            <span className="soft">
              <Time at={each.at} />
            </span>
          </li>
        ))}
      </ul>
      {votes && votes.length > 0 && (
        <details className={styles.fold}>
          <summary>Votes of judges ({votes.length})</summary>
          <ul className={styles.list}>
            {votes.map((vote) => (
              <li key={`${vote.judge_version} ${vote.pair_id} ${vote.shown_first} ${vote.vote_index}`}>
                <Link href={`/judges/${encodeURIComponent(vote.judge)}`}>{vote.judge}</Link> ({vote.task}):{" "}
                {vote.value === null ? "could not be read" : valuesOf(vote.value)}
              </li>
            ))}
          </ul>
        </details>
      )}
    </section>
  );
}

const WORDS = {
  better: "prefers it to",
  worse: "prefers to it",
  equal: "finds it equal to",
  both_bad: "finds it and the other bad:",
} as const;

function valuesOf(value: Record<string, unknown>): string {
  return Object.entries(value)
    .map(([name, each]) =>
      typeof each === "number" && each <= 1 ? `${name} ${percent(each)}` : `${name} ${String(each)}`,
    )
    .join(", ");
}
