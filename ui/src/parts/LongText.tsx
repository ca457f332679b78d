import { useState } from "react";
import { Button } from "./Button";
import { count } from "./format";
import styles from "./Message.module.css";

const SHOWN = 20_000;

/** Text as it is, never as HTML. Of a very long one the start, until all of it is wanted. */
export function LongText({ text, code = false }: { text: string; code?: boolean }) {
  const [whole, setWhole] = useState(false);
  const cut = !whole && text.length > SHOWN;
  const shown = cut ? text.slice(0, SHOWN) : text;
  return (
    <>
      <div className={code ? `${styles.text} ${styles.code}` : styles.text} dir="auto">
        {shown}
        {cut && "…"}
      </div>
      {cut && <Button onClick={() => setWhole(true)}>Show all {count(text.length)} characters</Button>}
    </>
  );
}
