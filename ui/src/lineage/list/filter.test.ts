import { describe, expect, it } from "vitest";
import { askedFor, cleared, exportAddress, filterOf, isNarrowed, withFilter } from "./filter";

const filter = (query: string) => filterOf(new URLSearchParams(query));

describe("the filter of the sessions", () => {
  it("comes out of the address as it went in", () => {
    const query =
      "columns=turns&q=bike+chain&theme=shop&theme=&model=m&kind=retry&side=all&errors=true&outcome=low&since=2026-01-31&sort=-turns";
    const found = filter(query);
    expect(withFilter(new URLSearchParams("columns=turns"), found).toString()).toBe(query);
  });

  it("leaves out what it does not know", () => {
    expect(filter("errors=maybe&outcome=x&since=yesterday&sort=-magic&side=1")).toEqual(filter(""));
  });

  it("asks for conversations, the most recent first, where the address says nothing", () => {
    expect(askedFor(filter(""))).toEqual({ sort: "recent", order: "desc", side: false });
    expect(isNarrowed(filter(""))).toBe(false);
    expect(isNarrowed(filter("side=all"))).toBe(false);
    expect(isNarrowed(filter("side=only"))).toBe(true);
  });

  it("says outcomes as bounds that do not overlap", () => {
    const low = askedFor(filter("outcome=low"));
    const middle = askedFor(filter("outcome=middle"));
    const high = askedFor(filter("outcome=high"));
    expect(middle.least).toBeGreaterThan(low.most as number);
    expect(middle.most).toBeLessThan(high.least as number);
    expect(askedFor(filter("outcome=none")).judged).toBe(false);
  });

  it("takes the whole of the last day", () => {
    const asked = askedFor(filter("since=2026-03-01&until=2026-03-01"));
    expect(new Date(asked.until as string).getTime() - new Date(asked.since as string).getTime()).toBe(864e5);
  });

  it("keeps its order when it is cleared", () => {
    expect(cleared(filter("q=a&sort=turns&errors=true"))).toEqual(filter("sort=turns"));
  });

  it("is the same for an export", () => {
    expect(exportAddress(filter("theme=a+b&theme=c"), "csv")).toBe(
      "/api/sessions/export?form=csv&sort=recent&order=desc&theme=a+b&theme=c&side=false",
    );
  });
});
