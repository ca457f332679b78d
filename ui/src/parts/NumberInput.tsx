import type { ComponentProps } from "react";

type Props = Omit<ComponentProps<"input">, "type" | "value" | "onChange"> & {
  value: string | number;
  onValue: (value: string) => void;
};

/** An input for a number, which is text until it is used: it may be empty meanwhile. */
export function NumberInput({ onValue, ...rest }: Props) {
  return <input type="number" {...rest} onChange={(event) => onValue(event.target.value)} />;
}
