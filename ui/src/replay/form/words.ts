const REASONS: Readonly<Record<string, string>> = {
  side_call: "calls that clients make for themselves",
  erased: "erased",
};

/** Why nodes have no jobs. */
export function reasonInWords(reason: string): string {
  return REASONS[reason] ?? reason.replaceAll("_", " ");
}

/** An amount of money of whatever currency prices are in; a dash where it is unknown. */
export function money(amount: number | null | undefined): string {
  if (amount === null || amount === undefined) return "–";
  if (amount === 0) return "0";
  const digits = amount >= 100 ? 0 : amount >= 1 ? 2 : Math.min(8, 2 - Math.floor(Math.log10(amount)));
  return amount.toLocaleString("en", {
    minimumFractionDigits: Math.min(2, digits),
    maximumFractionDigits: digits,
  });
}
