import { expect, test } from "vitest";
import { byTheme, measureName, type Share, saidCounts } from "./shares";

function share(some: Partial<Share>): Share {
  return {
    ...{ scope: "default", kind: "unit", theme: "docs", share: "priority", items: 1, open: 1, complete: 0 },
    ...{ skipped: 0, judgements: 0, leased: 0, oldest_open: null },
    ...some,
  } as Share;
}

test("shares and tenants of a theme are one row, kinds are not", () => {
  const rows = byTheme([
    share({ items: 3, open: 1, complete: 2, oldest_open: "2026-02-01T00:00:00Z" }),
    share({ share: "random", scope: "other", items: 2, open: 2, oldest_open: "2026-01-01T00:00:00Z" }),
    share({ kind: "pair", items: 9, open: 9 }),
  ]);
  expect(rows.map((row) => [row.kind, row.items, row.open, row.random])).toEqual([
    ["pair", 9, 9, 0],
    ["unit", 5, 3, 2],
  ]);
  expect(rows[1]?.oldest).toBe("2026-01-01T00:00:00Z");
});

test("what people said is counted by name", () => {
  expect(saidCounts(["second", "first", "first", "both_bad"])).toBe("A by 2, B by 1, both bad by 1");
  expect(saidCounts(["1", "5"])).toBe("1 by 1, 5 by 1");
  expect(measureName("category:tool_misuse")).toBe("tool misuse");
});
