import { Link } from "wouter";
import { Button } from "../../parts/Button";
import { Empty } from "../../parts/Empty";
import { counted } from "../../parts/format";
import { useIsAdmin } from "../../shell/session";
import type { Filter } from "./useDesk";

type Props = { judged: number; problem: string | null; filter: Filter; onAsk: () => void };

/** No item is there: says why, and what to do. */
export function Ended({ judged, problem, filter, onAsk }: Props) {
  const admin = useIsAdmin();
  const narrowed = Boolean(filter.theme || filter.session || filter.cluster || filter.category);
  const other = filter.kind === "pair" ? "unit" : "pair";
  if (problem !== null)
    return (
      <Empty title="The queue could not be loaded">
        <p>{problem}</p>
        <Button onClick={onAsk}>Try again</Button>
      </Empty>
    );
  return (
    <Empty title={judged > 0 ? `That was all: ${counted(judged, "item")} judged` : "No item waits for you"}>
      <p>
        {judged > 0 ? "Nothing else waits for you here. " : ""}
        {narrowed ? "Other items may wait without the filter. " : ""}
        The page checks again automatically.
      </p>
      <p>
        <Button onClick={onAsk}>Check again</Button>{" "}
        <Link href={`/review?kind=${other}`}>
          {other === "unit" ? "Rate whole paths" : "Compare answers"}
        </Link>
        {narrowed && (
          <>
            {" · "}
            <Link href={`/review?kind=${filter.kind}`}>Drop the filter</Link>
          </>
        )}
      </p>
      {admin ? (
        <p>
          <Link href="/review/queue?fill=1">Fill the queue</Link> with paths and pairs that are worth judging.
        </p>
      ) : (
        <p>
          An admin can fill the queue here or with <code>regraft queue fill</code>.
        </p>
      )}
    </Empty>
  );
}
