/** A value of a table's cell, as it is exported. */
export type Value = string | number | boolean | null | undefined | readonly string[];
export type Row = Readonly<Record<string, Value>>;

/** Rows as CSV (RFC 4180), the names of the columns first. Text that a spreadsheet would run as a formula gets a `'`. */
export function toCsv(columns: readonly string[], rows: Iterable<Row>): string {
  const lines = [columns.map(cell).join(",")];
  for (const row of rows) lines.push(columns.map((name) => cell(row[name])).join(","));
  return `${lines.join("\r\n")}\r\n`;
}

function cell(value: Value): string {
  if (value === null || value === undefined) return "";
  let text = Array.isArray(value) ? value.join("; ") : String(value);
  if (typeof value !== "number" && /^[=+\-@\t\r]/.test(text)) text = `'${text}`;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** Rows as JSON Lines, values as they are. */
export function toJsonl(rows: Iterable<Row>): string {
  let lines = "";
  for (const row of rows) lines += `${JSON.stringify(row)}\n`;
  return lines;
}

/** Have the browser save a text as a file. */
export function save(name: string, type: string, text: string): void {
  const url = URL.createObjectURL(new Blob([text], { type }));
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
