import { describe, expect, it } from "vitest";
import { EMPTY, numbersOf, requestOf, variantsIn } from "./form";
import { formOf, nodesIn, paramsOf } from "./formParams";

const NODE = "0198f0a2-0000-7000-8000-000000000001";

describe("numbers in a text", () => {
  it("are separated by commas or blanks, and counted once", () => {
    expect(numbersOf("0.2, 1.1 0.2;2").values).toEqual([0.2, 1.1, 2]);
    expect(numbersOf("  ").values).toEqual([]);
  });
  it("are refused with a reason", () => {
    expect(numbersOf("0.2, warm").problem).toContain("warm");
    expect(numbersOf("1.5", { whole: true }).problem).toContain("whole");
    expect(numbersOf("2", { most: 1 }).problem).toBe("At most 1.");
    expect(numbersOf("Infinity").problem).toContain("not a number");
  });
});

describe("a request", () => {
  it("has every value of every dimension", () => {
    const form = {
      ...EMPTY,
      nodes: [NODE],
      models: ["", "large"],
      temperatures: "0.2, 0.7, 1.1",
      systems: ["Be brief.", ""],
      keepSystem: true,
    };
    const { request, problems } = requestOf(form);
    expect(problems).toEqual({});
    expect(request.grid?.models).toEqual([null, "large"]);
    expect(request.grid?.systems).toEqual([null, "Be brief."]);
    expect(variantsIn(request)).toBe(12);
    expect(request.conditions).toBeNull();
  });
  it("asks as it was recorded where nothing is changed", () => {
    const { request } = requestOf({ ...EMPTY, nodes: [NODE], keepSystem: true, keepUser: true });
    expect(variantsIn(request)).toBe(1);
    expect(request.grid?.systems).toEqual([]);
    expect(request.grid?.users).toEqual([]);
  });
  it("can take the system prompt away", () => {
    expect(requestOf({ ...EMPTY, nodes: [NODE], noSystem: true }).request.grid?.systems).toEqual([""]);
  });
  it("finds nodes by conditions where none are named", () => {
    const { request } = requestOf({ ...EMPTY, pivot: true, limit: "5" });
    expect(request.nodes).toEqual([]);
    expect(request.conditions).toMatchObject({ query: "pivot", limit: 5 });
  });
  it("says which field is wrong", () => {
    const { problems } = requestOf({
      ...EMPTY,
      nodes: [NODE],
      topPs: "2",
      tools: "{",
      samples: "0",
      turns: "x",
    });
    expect(Object.keys(problems).sort()).toEqual(["samples", "tools", "topPs"]);
  });
  it("goes on after the answer only where that is wanted", () => {
    const going = requestOf({
      ...EMPTY,
      nodes: [NODE],
      goesOn: true,
      turns: "4",
      policy: "recorded",
    }).request;
    expect(going.continuing).toMatchObject({ turns: 4, tools: "recorded", persona: null });
    expect(requestOf({ ...EMPTY, nodes: [NODE], turns: "4" }).request.continuing).toBeNull();
  });
});

describe("an address", () => {
  it("holds the whole form", () => {
    const form = {
      ...EMPTY,
      nodes: [NODE, NODE.replace("1", "2")],
      models: ["", "a,b & c"],
      systems: ["One\ntwo", "three"],
      tools: '[{"name":"x"}]',
      samples: "4",
      goesOn: true,
      policy: "live" as const,
      again: true,
    };
    expect(formOf(new URLSearchParams(paramsOf(form).toString()))).toEqual(form);
  });
  it("of an empty form is empty", () => {
    expect(paramsOf(EMPTY).toString()).toBe("");
    expect(formOf(new URLSearchParams())).toEqual(EMPTY);
  });
  it("that makes no sense is read as far as it does", () => {
    const form = formOf(new URLSearchParams("nodes=xyz,0198f0a2&policy=nonsense&again=0"));
    expect([form.nodes, form.policy, form.again]).toEqual([["0198f0a2"], "strict", false]);
  });
  it("names nodes in any way they are separated", () => {
    expect(nodesIn(`${NODE}, 0198f0a3\n0198f0a3`)).toEqual([NODE, "0198f0a3"]);
  });
});
