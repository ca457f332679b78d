import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useMemo } from "react";
import { client, type Schema } from "../../api/client";
import { type Graph, graphOf, type Words } from "./graph";

const WATCHED_MS = 2500;
/** Of a larger tree the words are not loaded: its picture shows none, and a node that is opened has its own. */
const MOST_WORDS = 30_000;

// The same ones each time, so that a tree without any is laid out once.
const NONE_STALE: ReadonlyMap<string, string> = new Map();
const NO_VALUES: readonly Schema["AnswerValue"][] = [];

export type Tree = {
  shape: Schema["Shape"];
  graph: Graph;
  words: Words | undefined;
  stale: ReadonlyMap<string, string>;
  values: readonly Schema["AnswerValue"][];
};

type Loaded = { tree: Tree | undefined; error: unknown; retry: () => void };

/** A session's tree: its shape, then its words and what else is known of its nodes. It grows while the session does. */
export function useTree(id: string): Loaded {
  const params = { path: { id } };
  const shape = useQuery({
    queryKey: ["shape", id],
    queryFn: async () => (await client.GET("/api/sessions/{id}/shape", { params })).data,
    staleTime: Number.POSITIVE_INFINITY,
    placeholderData: keepPreviousData,
  });
  const build = shape.data?.session.build;
  useQuery({
    queryKey: ["build", id, build],
    queryFn: async () => {
      const now = (await client.GET("/api/sessions/{id}", { params })).data?.build;
      if (now !== undefined && now !== build) await shape.refetch();
      return now ?? null;
    },
    enabled: build !== undefined,
    refetchInterval: WATCHED_MS,
    staleTime: 0,
  });
  const size = shape.data?.nodes.id.length ?? 0;
  const words = useQuery({
    queryKey: ["words", id, build],
    queryFn: async () => (await client.GET("/api/sessions/{id}/words", { params })).data,
    enabled: size > 0 && size <= MOST_WORDS,
    staleTime: Number.POSITIVE_INFINITY,
    placeholderData: keepPreviousData,
  });
  const stale = useQuery({
    queryKey: ["stale", id, build],
    queryFn: async () => (await client.GET("/api/sessions/{id}/stale", { params })).data,
    enabled: size > 0,
    placeholderData: keepPreviousData,
  });
  const values = useQuery({
    queryKey: ["values", id, build],
    queryFn: async () => (await client.GET("/api/sessions/{id}/values", { params })).data,
    enabled: size > 0,
    retry: false,
    placeholderData: keepPreviousData,
  });
  const staleNodes = useMemo(
    () =>
      stale.data?.nodes.length
        ? new Map(stale.data.nodes.map((each) => [each.node_id, each.reason]))
        : NONE_STALE,
    [stale.data],
  );
  const found = values.data?.values.length ? values.data.values : NO_VALUES;
  const graph = useMemo(() => {
    if (!shape.data) return undefined;
    const pivots = found.filter((value) => value.weight !== null).map((value) => value.node_id);
    return graphOf(shape.data, { stale: new Set(staleNodes.keys()), pivots: new Set(pivots) });
  }, [shape.data, staleNodes, found]);
  const said = words.data?.asked.length === size ? words.data : undefined;
  const tree = useMemo(
    () =>
      shape.data && graph
        ? { shape: shape.data, graph, words: said, stale: staleNodes, values: found }
        : undefined,
    [shape.data, graph, said, staleNodes, found],
  );
  return { tree, error: shape.data ? null : shape.error, retry: () => void shape.refetch() };
}
