import { useMutation } from "@tanstack/react-query";
import { useEffect, useMemo, useState } from "react";
import { useLocation, useSearchParams } from "wouter";
import { client } from "../../api/client";
import { sentence } from "../../api/problem";
import { Page } from "../../parts/Page";
import { useShortcuts } from "../../parts/shortcuts";
import { useMe } from "../../shell/session";
import { ContinuingFields } from "./ContinuingFields";
import { hasNodes, type ReplayForm, requestOf } from "./form";
import styles from "./form.module.css";
import { formOf, paramsOf } from "./formParams";
import { LimitFields } from "./LimitFields";
import { NodesShown } from "./NodesShown";
import { OutlookPanel } from "./OutlookPanel";
import { PromptFields } from "./PromptFields";
import { SamplingFields } from "./SamplingFields";
import { ToolFields } from "./ToolFields";
import { useOutlook } from "./useOutlook";

/** Asks recorded contexts again under other conditions; says what that takes while it is entered. */
export default function ReplayFormPage() {
  const [params, setParams] = useSearchParams();
  const [, go] = useLocation();
  const [form, setForm] = useState(() => formOf(params));
  const me = useMe();
  const { request, problems } = useMemo(() => requestOf(form), [form]);
  const address = paramsOf(form).toString();
  useEffect(() => {
    const timer = setTimeout(() => setParams(new URLSearchParams(address), { replace: true }), 200);
    return () => clearTimeout(timer);
  }, [address, setParams]);
  const set = (changed: Partial<ReplayForm>) => setForm((old) => ({ ...old, ...changed }));

  const admin = me?.role === "admin";
  const sound = Object.keys(problems).length === 0;
  const outlook = useOutlook(request, admin && sound && hasNodes(form));
  const start = useMutation({
    mutationFn: async () => (await client.POST("/api/replays", { body: request })).data,
    onSuccess: (plan) => plan && go(`/replays/${plan.plan_id}`),
  });
  const ready =
    admin && sound && hasNodes(form) && !outlook.late && !outlook.error && (outlook.data?.jobs ?? 0) > 0;
  const begin = () => ready && !start.isPending && start.mutate();
  useShortcuts("Replay", [{ keys: "Ctrl+Enter", does: "start the replay", run: begin, whileTyping: true }]);
  const field = { form, set, problems };
  return (
    <Page
      title="New replay"
      crumbs={[{ label: "Replays", href: "/replays" }]}
      about="Replay recorded contexts with other conditions; answers become branches."
    >
      <div className={styles.layout}>
        <form className={styles.fields} onSubmit={(event) => event.preventDefault()}>
          <NodesShown {...field} found={outlook.data?.node_ids} />
          <SamplingFields {...field} />
          <PromptFields {...field} />
          <ToolFields {...field} />
          <ContinuingFields {...field} />
          <LimitFields {...field} />
        </form>
        <OutlookPanel
          request={request}
          found={hasNodes(form) ? outlook.data : undefined}
          late={outlook.late}
          problem={hasNodes(form) && outlook.error ? sentence(outlook.error) : ""}
          unsound={!sound}
          empty={!hasNodes(form)}
          admin={me === undefined || admin}
          ready={ready}
          starting={start.isPending}
          failure={start.error ? sentence(start.error) : ""}
          onStart={begin}
        />
      </div>
    </Page>
  );
}
