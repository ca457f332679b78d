import { useMutation, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { client, type Schema } from "../../api/client";
import { sentence } from "../../api/problem";
import { Button } from "../../parts/Button";
import { type Column, DataTable } from "../../parts/DataTable";
import { Field } from "../../parts/Field";
import { shortId } from "../../parts/format";
import { Interval } from "../figures/Interval";
import styles from "./QueuePage.module.css";
import { kindName } from "./shares";

type Gold = Schema["GoldItem"];

/** Items of known answer: list them, make one, withdraw one. */
export function GoldTable({ items }: { items: readonly Gold[] }) {
  const [item, setItem] = useState("");
  const [answer, setAnswer] = useState("4-5");
  const queries = useQueryClient();
  const refresh = () => queries.invalidateQueries({ queryKey: ["get", "/api/review/queue"] });
  const make = useMutation({
    mutationFn: () =>
      client.PUT("/api/review/items/{id}/gold", {
        params: { path: { id: item.trim() } },
        body: goldOf(answer),
      }),
    onSuccess: () => {
      setItem("");
      return refresh();
    },
  });
  const withdraw = useMutation({
    mutationFn: (id: string) => client.DELETE("/api/review/items/{id}/gold", { params: { path: { id } } }),
    onSuccess: refresh,
  });
  const columns: Column<Gold>[] = [
    {
      key: "item",
      head: "Item",
      width: "7rem",
      cell: (row) => <span className="mono">{shortId(row.item_id)}</span>,
    },
    { key: "kind", head: "What", width: "7rem", cell: (row) => kindName(row.kind) },
    { key: "theme", head: "Theme", cell: (row) => row.theme },
    { key: "answer", head: "Answer", width: "8rem", cell: answerOf },
    {
      key: "right",
      head: "Right",
      width: "12rem",
      cell: (row) => (
        <Interval
          value={row.answered ? row.right / row.answered : null}
          low={null}
          high={null}
          n={row.answered}
          from={0}
        />
      ),
    },
    { key: "by", head: "Made by", width: "8rem", cell: (row) => row.made_by },
    {
      key: "act",
      head: <span className="visually-hidden">Withdraw</span>,
      name: "Withdraw",
      width: "8rem",
      cell: (row) => <Button onClick={() => withdraw.mutate(row.item_id)}>Withdraw</Button>,
    },
  ];
  const submit = (event: FormEvent) => {
    event.preventDefault();
    make.mutate();
  };
  return (
    <>
      <p className="soft">Mixed with the others without a mark; reviewers do not see this list.</p>
      <form className={styles.filters} onSubmit={submit}>
        <Field label="Item" problem={make.error ? sentence(make.error) : undefined}>
          <input
            required
            minLength={6}
            placeholder="id or start of it"
            value={item}
            onChange={(event) => setItem(event.target.value)}
          />
        </Field>
        <Field label="Known answer">
          <select value={answer} onChange={(event) => setAnswer(event.target.value)}>
            <optgroup label="Of a path, a rating">
              {["1", "1-2", "2", "3", "3-5", "4", "4-5", "5"].map((range) => (
                <option key={range}>{range}</option>
              ))}
            </optgroup>
            <optgroup label="Of two answers, by node">
              <option value="a">the one of the smaller id</option>
              <option value="b">the other one</option>
              <option value="equal">equal</option>
              <option value="both_bad">both bad</option>
            </optgroup>
          </select>
        </Field>
        <Button type="submit" busy={make.isPending}>
          Make it gold
        </Button>
      </form>
      <DataTable label="Gold items" columns={columns} rows={items} rowKey={(row) => row.gold_id} />
    </>
  );
}

function goldOf(answer: string): Schema["GoldRequest"] {
  if (!/^\d/.test(answer)) return { preference: answer as "a" | "b" | "equal" | "both_bad", note: "" };
  const [low, high = low] = answer.split("-").map(Number);
  return { rating_low: low, rating_high: high, note: "" };
}

function answerOf(row: Gold): string {
  if (row.preference) return row.preference.replace("_", " ");
  return row.rating_low === row.rating_high ? `${row.rating_low}` : `${row.rating_low}–${row.rating_high}`;
}
