import { keepPreviousData, useInfiniteQuery } from "@tanstack/react-query";
import { api, client } from "../../api/client";
import { askedFor, type Filter } from "./filter";

const PAGE = 200;

/** The sessions of a filter, page by page. */
export function useSessions(filter: Filter) {
  const asked = askedFor(filter);
  return useInfiniteQuery({
    queryKey: ["sessions", asked],
    initialPageParam: "",
    placeholderData: keepPreviousData,
    queryFn: async ({ pageParam, signal }) => {
      const query = { ...asked, limit: PAGE, ...(pageParam ? { before: pageParam } : {}) };
      const { data } = await client.GET("/api/sessions", { params: { query }, signal });
      if (!data) throw new Error("The server sent nothing.");
      return data;
    },
    getNextPageParam: (page) => page.next,
  });
}

/** How many sessions there are by what they can be narrowed down to. */
export function useFacets(filter: Filter) {
  const { sort: _sort, order: _order, ...query } = askedFor(filter);
  return api.useQuery(
    "get",
    "/api/sessions/facets",
    { params: { query } },
    { placeholderData: keepPreviousData, staleTime: 10_000 },
  );
}
