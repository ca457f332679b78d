import { api } from "../../api/client";
import { CopyLink } from "../../parts/CopyLink";
import { Empty } from "../../parts/Empty";
import styles from "./list.module.css";

/** Nothing was captured yet: where a client is pointed to, and how a file is imported. */
export function NoSessions() {
  const { data } = api.useQuery("get", "/api/gateway");
  const address = data?.base_url || "http://127.0.0.1:4700/v1";
  return (
    <Empty title="Nothing was captured yet">
      <div className={styles.start}>
        <section>
          <h3>Point a client at the gateway</h3>
          <p>
            Set the base URL of any OpenAI-compatible client, and work as before. A conversation appears here
            within a second of its answer.
          </p>
          <pre>
            <code>{`export OPENAI_BASE_URL=${address}\nexport OPENAI_API_KEY=anything`}</code>
          </pre>
          <CopyLink text={() => `export OPENAI_BASE_URL=${address}`} label="Copy the line" />
        </section>
        <section>
          <h3>Or import what you have</h3>
          <p>Exports of ChatGPT, Claude Code, Open WebUI, LangSmith, OpenAI JSONL, and many more.</p>
          <pre>
            <code>regraft import conversations.json</code>
          </pre>
          <CopyLink text={() => "regraft import conversations.json"} label="Copy the command" />
        </section>
        <section>
          <h3>Or look at an example</h3>
          <pre>
            <code>regraft demo</code>
          </pre>
        </section>
      </div>
    </Empty>
  );
}
