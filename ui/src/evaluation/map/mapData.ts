import type { Schema } from "../../api/client";

export const UNKNOWN = 255;
export const NO_CLUSTER = "";

/** The map, an item per point in every array. `x` and `y` are -1 to 1; `outcome` and `quality` 254ths, or UNKNOWN. */
export type MapData = {
  points: number;
  clusters: readonly string[];
  themes: readonly string[];
  x: Float32Array;
  y: Float32Array;
  cluster: Uint16Array;
  theme: Uint16Array;
  outcome: Uint8Array;
  quality: Uint8Array;
  late: Uint8Array;
};

/** The columns of the API as arrays. */
export function mapDataOf(columns: Schema["MapColumns"]): MapData {
  return {
    points: columns.points,
    clusters: columns.clusters,
    themes: columns.themes,
    x: places(columns.x),
    y: places(columns.y),
    cluster: new Uint16Array(bytesOf(columns.cluster).buffer),
    theme: new Uint16Array(bytesOf(columns.theme).buffer),
    outcome: bytesOf(columns.outcome),
    quality: bytesOf(columns.quality),
    late: bytesOf(columns.late),
  };
}

function bytesOf(text: string): Uint8Array<ArrayBuffer> {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

function places(text: string): Float32Array {
  return Float32Array.from(new Int16Array(bytesOf(text).buffer), (value) => value / 32767);
}

/** A value in 254ths as 0 to 1; null where nothing is known. */
export function shareOf(byte: number | undefined): number | null {
  return byte === undefined || byte === UNKNOWN ? null : byte / 254;
}
