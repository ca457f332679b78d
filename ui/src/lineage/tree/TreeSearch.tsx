import { useQuery } from "@tanstack/react-query";
import { type RefObject, useEffect, useState } from "react";
import { client } from "../../api/client";
import { Button } from "../../parts/Button";
import { count } from "../../parts/format";
import { type Graph, nodeOf, type Words } from "./graph";
import styles from "./TreePage.module.css";
import { nodesSaying } from "./words";

/** Nodes that a search finds: by words anywhere in them (asked of the server), in what is shown of them, or by id. */
export function useHits(session: string, text: string, graph: Graph | undefined, words: Words | undefined) {
  const wanted = text.trim();
  const { data, isFetching } = useQuery({
    queryKey: ["find-in-tree", session, wanted, graph?.size],
    queryFn: async () =>
      (
        await client.GET("/api/sessions/{id}/find", {
          params: { path: { id: session }, query: { q: wanted } },
        })
      ).data,
    enabled: wanted !== "" && graph !== undefined,
  });
  const found = new Set<number>();
  if (graph && wanted) {
    for (const id of data?.nodes ?? []) {
      const node = graph.place.get(id);
      if (node !== undefined) found.add(node);
    }
    for (const node of nodesSaying(words, wanted)) found.add(node);
    const named = /^[0-9a-f-]{6,36}$/i.test(wanted) ? nodeOf(graph, wanted.toLowerCase()) : -1;
    if (named >= 0) found.add(named);
  }
  return { hits: [...found], searching: isFetching };
}

type Props = {
  text: string;
  onText: (text: string) => void;
  hits: readonly number[];
  at: number;
  searching: boolean;
  onStep: (step: 1 | -1) => void;
  field: RefObject<HTMLInputElement | null>;
};

/** The field to search within the tree, and buttons to step through what was found. */
export function TreeSearch({ text, onText, hits, at, searching, onStep, field }: Props) {
  const [typed, setTyped] = useState(text);
  useEffect(() => setTyped(text), [text]);
  useEffect(() => {
    if (typed === text) return;
    const timer = setTimeout(() => onText(typed), 250);
    return () => clearTimeout(timer);
  }, [typed, text, onText]);
  const place = hits.indexOf(at) + 1;
  return (
    <search className={styles.search}>
      <input
        ref={field}
        type="search"
        aria-label="Search in this tree"
        placeholder="Search in this tree ( / )"
        value={typed}
        maxLength={400}
        onChange={(event) => setTyped(event.target.value)}
        onKeyDown={(event) => {
          if (event.key === "Enter") {
            if (typed !== text) onText(typed);
            else onStep(event.shiftKey ? -1 : 1);
          }
          if (event.key === "Escape") {
            setTyped("");
            onText("");
            field.current?.blur();
          }
        }}
      />
      {text && (
        <>
          <output className="soft">
            {hits.length === 0
              ? searching
                ? "…"
                : "none"
              : `${place > 0 ? `${place} of ` : ""}${count(hits.length)}`}
          </output>
          <Button kind="quiet" icon="up" aria-label="Previous hit" onClick={() => onStep(-1)} />
          <Button kind="quiet" icon="down" aria-label="Next hit" onClick={() => onStep(1)} />
        </>
      )}
    </search>
  );
}
