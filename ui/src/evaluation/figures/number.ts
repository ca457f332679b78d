import { figure } from "../../parts/format";

/** A figure that may be negative, with a minus sign; nothing is less than nothing by rounding. A dash where unknown. */
export function signed(value: number | null | undefined, digits = 2): string {
  const text = figure(value, digits);
  return /^-0\.?0*$/.test(text) ? text.slice(1) : text.replace("-", "−");
}
