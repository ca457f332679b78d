import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { client } from "../../api/client";
import type { ReplayRequest } from "./form";

const PAUSE = 300; // milliseconds without a change before the server is asked

/** What a request would do, asked for once typing pauses; the last one is kept meanwhile. */
export function useOutlook(request: ReplayRequest, active: boolean) {
  const now = JSON.stringify(request);
  const [asked, setAsked] = useState(now);
  useEffect(() => {
    const timer = setTimeout(() => setAsked(now), PAUSE);
    return () => clearTimeout(timer);
  }, [now]);
  const found = useQuery({
    queryKey: ["replay outlook", asked],
    queryFn: async ({ signal }) => {
      const { data } = await client.POST("/api/replays/plan", { body: JSON.parse(asked), signal });
      if (!data) throw new Error("The server answered nothing.");
      return data;
    },
    enabled: active,
    placeholderData: keepPreviousData,
    retry: false,
    staleTime: 5_000,
  });
  return { ...found, late: active && (asked !== now || found.isFetching) };
}
