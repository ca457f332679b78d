const NUMBER = new Intl.NumberFormat("en");

/** `12345` as `12,345`. */
export function count(value: number): string {
  return NUMBER.format(value);
}

/** A count with its noun: `1 session`, `2 sessions`. */
export function counted(value: number, one: string, many = `${one}s`): string {
  return `${count(value)} ${value === 1 ? one : many}`;
}

/** A share from 0 to 1 as per cent; a dash where it is unknown. */
export function percent(share: number | null | undefined, digits = 0): string {
  return share === null || share === undefined ? "–" : `${(share * 100).toFixed(digits)} %`;
}

/** A figure with some digits after the point; a dash where it is unknown. */
export function figure(value: number | null | undefined, digits = 2): string {
  return value === null || value === undefined ? "–" : value.toFixed(digits);
}

/** Milliseconds as `340 ms`, `2.5 s`, `3 min 10 s`; a dash where they are unknown. */
export function duration(milliseconds: number | null | undefined): string {
  if (milliseconds === null || milliseconds === undefined) return "–";
  if (milliseconds < 1000) return `${Math.round(milliseconds)} ms`;
  const seconds = milliseconds / 1000;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${Math.round(seconds % 60)} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** Tokens or another figure that nothing has none of: a zero, as imported calls have it, was not measured. */
export function measured(value: number): string {
  return value > 0 ? count(Math.round(value)) : "–";
}

/** Like `duration`, of something that takes time: a zero, as imported calls have it, was not measured. */
export function taken(milliseconds: number | null | undefined): string {
  return duration(milliseconds || null);
}

/** The name of a model without the digest and the settings that pin it: `llama@sha256:...` is `llama`. */
export function modelName(pinned: string): string {
  return pinned.split("@", 1)[0] || pinned;
}

/** Bytes in binary units. */
export function bytes(size: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  const power = size < 1 ? 0 : Math.min(Math.floor(Math.log2(size) / 10), units.length - 1);
  return `${(size / 1024 ** power).toFixed(power === 0 ? 0 : 1)} ${units[power]}`;
}

/** The first digits of an id, as the command line shows and takes them. */
export function shortId(id: string): string {
  return id.slice(0, 8);
}
