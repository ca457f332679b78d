import { useMemo } from "react";
import { api } from "../../api/client";
import { mapDataOf } from "./mapData";

const QUIET = { staleTime: 60_000 };

/** The map of a layer, its clusters, and which fit they are of. */
export function useMap(layer: number | undefined) {
  const query = layer === undefined ? {} : { layer };
  const columns = api.useQuery("get", "/api/clusters/columns", { params: { query } }, QUIET);
  const clusters = api.useQuery("get", "/api/clusters", { params: { query } }, QUIET);
  const map = columns.data?.map;
  const data = useMemo(() => (map ? mapDataOf(map) : undefined), [map]);
  return {
    data,
    run: clusters.data?.run ?? undefined,
    clusters: clusters.data?.clusters,
    nothing: columns.data !== undefined && !map,
    error: columns.error ?? clusters.error,
    retry: () => {
      void columns.refetch();
      void clusters.refetch();
    },
  };
}

/** Which paths the points are, asked for only when one of them is wanted. */
export function useMapIds(layer: number | undefined, wanted: boolean) {
  const query = layer === undefined ? {} : { layer };
  return api.useQuery("get", "/api/clusters/ids", { params: { query } }, { ...QUIET, enabled: wanted }).data
    ?.ids;
}
