import { type FormEvent, useEffect, useRef, useState } from "react";
import { useLocation, useSearchParams } from "wouter";
import { sentence } from "../api/problem";
import { Button } from "../parts/Button";
import { Field } from "../parts/Field";
import { Page } from "../parts/Page";
import styles from "./SignInPage.module.css";
import { useMe, useSession } from "./session";
import { placeAfter } from "./signInKey";

/** Sign in with a token. */
export default function SignInPage() {
  const [search] = useSearchParams();
  const [, go] = useLocation();
  const me = useMe();
  const { enter } = useSession();
  const [token, setToken] = useState("");
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState(
    search.has("refused") ? "The key of that address is not valid any more: run `regraft open` again." : "",
  );
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => input.current?.focus(), []);

  const submit = async (event: FormEvent) => {
    event.preventDefault();
    if (busy || token.trim() === "") return;
    setBusy(true);
    setProblem("");
    try {
      await enter(token);
      go(placeAfter(search.get("next")), { replace: true });
    } catch (error) {
      setProblem(sentence(error));
      setBusy(false);
      input.current?.select();
    }
  };

  return (
    <Page title="Sign in">
      <div className={styles.card}>
        {me && !me.signed_in && (
          <p className="soft">
            On this machine everything can be read without signing in. Sign in to judge, replay or freeze.
          </p>
        )}
        {me?.signed_in && <p className="soft">This browser is signed in as {me.name ?? me.role}.</p>}
        <form onSubmit={(event) => void submit(event)} className={styles.form}>
          <Field label="Token" problem={problem} wide>
            <input
              ref={input}
              type="password"
              autoComplete="current-password"
              spellCheck={false}
              maxLength={500}
              value={token}
              onChange={(event) => setToken(event.target.value)}
            />
          </Field>
          <Button kind="primary" type="submit" icon="key" busy={busy}>
            Sign in
          </Button>
        </form>
        <dl className={styles.help}>
          <dt>On the machine that runs Regraft</dt>
          <dd>
            <code>regraft open</code> signs this browser in as the owner.
          </dd>
          <dt>For other people</dt>
          <dd>
            <code>regraft web-token create NAME --role reviewer</code> makes a token. A viewer reads, a
            reviewer also judges, an admin also changes the rest.
          </dd>
        </dl>
      </div>
    </Page>
  );
}
