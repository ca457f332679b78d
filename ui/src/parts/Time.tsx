const FULL = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "medium" });
const DAY = new Intl.DateTimeFormat("en-GB", {
  day: "numeric",
  month: "short",
  hour: "2-digit",
  minute: "2-digit",
});

/** Earlier dates only keep the order of imported messages that have none. */
const FIRST_YEAR = 1980;

/** A moment in local time; the exact one is in its title. Null is a dash. */
export function Time({ at, full = false }: { at: string | null | undefined; full?: boolean }) {
  if (!at) return <span>–</span>;
  const moment = new Date(at);
  if (moment.getUTCFullYear() < FIRST_YEAR)
    return <span title="It was imported without a date">no date</span>;
  return (
    <time dateTime={at} title={at}>
      {(full ? FULL : DAY).format(moment)}
    </time>
  );
}
