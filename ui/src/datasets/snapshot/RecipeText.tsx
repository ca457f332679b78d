import { LongText } from "../../parts/LongText";

/** The recipe that a dataset was frozen from, as it was written. */
export function RecipeText({ text }: { text: string }) {
  return <LongText text={text.trim()} code />;
}
