import { describe, expect, test } from "vitest";
import { keyOf, placeAfter } from "./signInKey";

describe("the key in an address", () => {
  test("is read from the fragment", () => {
    expect(keyOf("#key=rgw_abc-DEF_1")).toBe("rgw_abc-DEF_1");
    expect(keyOf("#turn=3&key=rgw_x")).toBe("rgw_x");
  });
  test("is absent in other fragments", () => {
    for (const fragment of ["", "#", "#key=", "#main", "#monkey=1"]) expect(keyOf(fragment)).toBeNull();
  });
});

describe("the place after a sign-in", () => {
  test("is one of this page", () => {
    expect(placeAfter("/sessions/1?turn=2#x")).toBe("/sessions/1?turn=2#x");
    expect(placeAfter("/")).toBe("/");
  });
  test.each([
    null,
    "",
    "https://evil.example",
    "//evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "javascript:alert(1)",
    "/\t/evil.example",
    "/a\\b",
    "sessions",
    "/sign-in?next=/sign-in",
  ])("is the start for %j", (wanted) => {
    expect(placeAfter(wanted)).toBe("/");
  });
});
