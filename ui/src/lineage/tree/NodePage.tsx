import { useQuery } from "@tanstack/react-query";
import { Redirect } from "wouter";
import { client } from "../../api/client";
import { Failed } from "../../parts/Failed";
import { Loading } from "../../parts/Loading";
import { Page } from "../../parts/Page";
import type { PageProps } from "../../shell/page";

/** A node's address: leads to the node in its tree. */
export default function NodePage({ params }: PageProps) {
  const id = params.id ?? "";
  const { data, error } = useQuery({
    queryKey: ["node-place", id],
    queryFn: async () =>
      (await client.GET("/api/nodes/{id}", { params: { path: { id }, query: { limit: 1 } } })).data,
  });
  if (data) return <Redirect to={`/sessions/${data.session_id}?node=${data.node_id}`} replace />;
  return (
    <Page title="Node" crumbs={[{ label: "Sessions", href: "/sessions" }]}>
      {error ? <Failed error={error} /> : <Loading what="node" />}
    </Page>
  );
}
