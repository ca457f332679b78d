import { Button } from "./Button";
import { type Row, save, toCsv, toJsonl } from "./export";

type Props = { name: string; columns: readonly string[]; rows: () => Iterable<Row> | Promise<Iterable<Row>> };

/** Saves the rows of a table as CSV or JSON Lines. */
export function ExportButtons({ name, columns, rows }: Props) {
  const csv = async () => save(`${name}.csv`, "text/csv", toCsv(columns, await rows()));
  const jsonl = async () => save(`${name}.jsonl`, "application/x-ndjson", toJsonl(await rows()));
  return (
    <>
      <Button icon="download" onClick={() => void csv()}>
        CSV
      </Button>
      <Button icon="download" onClick={() => void jsonl()}>
        JSONL
      </Button>
    </>
  );
}
