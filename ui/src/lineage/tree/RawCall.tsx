import { useQuery } from "@tanstack/react-query";
import { useMemo, useState } from "react";
import { client } from "../../api/client";
import { Button } from "../../parts/Button";
import { CopyLink } from "../../parts/CopyLink";
import { Failed } from "../../parts/Failed";
import { count } from "../../parts/format";
import { Loading } from "../../parts/Loading";
import styles from "./TurnPanel.module.css";

/** The captured request and answer of a run, loaded when it is opened. */
export function RawCall({ run }: { run: string }) {
  const [open, setOpen] = useState(false);
  const { data, error } = useQuery({
    queryKey: ["call", run],
    queryFn: async () => (await client.GET("/api/runs/{id}/call", { params: { path: { id: run } } })).data,
    enabled: open,
    staleTime: Number.POSITIVE_INFINITY,
  });
  return (
    <details className={styles.fold} onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>Captured request and answer</summary>
      {!open ? null : error ? (
        <Failed error={error} />
      ) : !data ? (
        <Loading what="call" />
      ) : (
        <div className={styles.stack}>
          <p className="soft">
            {data.endpoint} at {data.upstream}, status {data.http_status}
            {data.streamed ? ", streamed" : ""}
            {data.cut ? `, cut by the ${data.cut}` : ""}
          </p>
          <JsonText title="Request" value={data.request} />
          <JsonText title="Answer" value={data.answer} />
          <JsonText title="Rest of the answer" value={data.answer_rest} />
          <JsonText title="Usage" value={data.usage} />
          <JsonText title="Error" value={data.error} />
          <JsonText title="Headers for Regraft" value={data.identity} />
        </div>
      )}
    </details>
  );
}

const SHOWN = 20_000;

/** A JSON value as text: its start, all of it on demand, and a button that copies it. */
function JsonText({ title, value }: { title: string; value: unknown }) {
  const text = useMemo(() => JSON.stringify(value, null, 2) ?? "", [value]);
  const [whole, setWhole] = useState(false);
  if (value === null || value === undefined || text === "{}") return null;
  const cut = !whole && text.length > SHOWN;
  return (
    <section>
      <div className={styles.section}>
        <h3>{title}</h3>
        <CopyLink label="Copy" text={() => text} />
      </div>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to be reached by keys */}
      <pre className={styles.json} tabIndex={0}>
        {cut ? `${text.slice(0, SHOWN)}…` : text}
      </pre>
      {cut && <Button onClick={() => setWhole(true)}>Show all {count(text.length)} characters</Button>}
    </section>
  );
}
