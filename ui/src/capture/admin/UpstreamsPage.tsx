import { useQueryClient } from "@tanstack/react-query";
import { api, type Schema } from "../../api/client";
import { Button } from "../../parts/Button";
import { Chip } from "../../parts/Chip";
import { Empty } from "../../parts/Empty";
import { Failed } from "../../parts/Failed";
import { count, duration, percent } from "../../parts/format";
import { Loading } from "../../parts/Loading";
import { Time } from "../../parts/Time";
import { AdminPage } from "./AdminPage";
import styles from "./admin.module.css";

type Upstream = Schema["Upstream"];
const SHOWN = 12;

/** Model servers behind the gateway: whether they answer, and how their calls went. */
export default function UpstreamsPage() {
  const queries = useQueryClient();
  const again = () => void queries.invalidateQueries({ queryKey: ["get", "/api/admin/upstreams"] });
  return (
    <AdminPage
      title="Model servers"
      about="Whether each model server answers, and its calls of the last hour."
      actions={
        <Button icon="replay" onClick={again}>
          Ask again
        </Button>
      }
    >
      {() => <Upstreams />}
    </AdminPage>
  );
}

function Upstreams() {
  const { data, error, refetch, isFetching } = api.useQuery("get", "/api/admin/upstreams", {
    params: { query: { ask: true } },
  });
  if (error) return <Failed error={error} retry={() => void refetch()} />;
  if (!data) return <Loading what="model servers" />;
  if (data.upstreams.length === 0) {
    return (
      <Empty title="No model server is configured, and none was called in the last hour">
        <p>
          The local model answers. Sections <code>[upstreams.NAME]</code> of the configuration add others.
        </p>
      </Empty>
    );
  }
  return (
    <ul className={styles.servers} aria-busy={isFetching}>
      {data.upstreams.map((upstream) => (
        <li key={upstream.name} className={styles.server}>
          <Server upstream={upstream} />
        </li>
      ))}
    </ul>
  );
}

function Server({ upstream }: { upstream: Upstream }) {
  const { figures, models } = upstream;
  return (
    <>
      <header>
        <h2>{upstream.name}</h2>
        {upstream.state === "answers" ? (
          <Chip tone="good">answers in {duration(upstream.answered_ms)}</Chip>
        ) : upstream.state === "fails" ? (
          <Chip tone="bad">does not answer well</Chip>
        ) : (
          <Chip>not asked</Chip>
        )}
      </header>
      {upstream.base_url && <code>{upstream.base_url}</code>}
      {upstream.problem && <p className={styles.problem}>{upstream.problem}</p>}
      {models.length > 0 && (
        <p className="soft">
          {models.slice(0, SHOWN).join(", ")}
          {models.length > SHOWN && ` and ${count(models.length - SHOWN)} more`}
        </p>
      )}
      {figures ? (
        <dl className={styles.figures}>
          <Figure name="calls" value={count(figures.calls)} />
          <Figure
            name="failed"
            value={`${count(figures.errors)} (${percent(figures.errors / Math.max(1, figures.calls))})`}
          />
          <Figure name="cut" value={count(figures.cut)} />
          <Figure name="tried again" value={count(figures.retried)} />
          <Figure name="limited (429)" value={count(figures.limited)} />
          <Figure name="median" value={duration(figures.median_ms)} />
          <Figure name="95 %" value={duration(figures.p95_ms)} />
          <Figure name="first byte" value={duration(figures.median_first_byte_ms)} />
          <div>
            <dt>last call</dt>
            <dd>
              <Time at={figures.last_at} />
            </dd>
          </div>
          {figures.last_error_at && (
            <div>
              <dt>last failure</dt>
              <dd>
                <Time at={figures.last_error_at} />
              </dd>
            </div>
          )}
        </dl>
      ) : (
        <p className="soft">No calls in the last hour.</p>
      )}
    </>
  );
}

function Figure({ name, value }: { name: string; value: string }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </div>
  );
}
