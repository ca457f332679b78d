import { Failed } from "../../parts/Failed";
import { shortId } from "../../parts/format";
import { Loading } from "../../parts/Loading";
import { useComparison } from "./useComparison";
import { VariantFigures } from "./VariantFigures";

/** The variants of the answers under one node, in short. */
export function NodeComparison({ node, growing }: { node: string; growing: boolean }) {
  const { data, error, refetch } = useComparison(node, growing);
  if (error && !data) return <Failed error={error} retry={() => void refetch()} />;
  if (!data) return <Loading what="answers" />;
  return <VariantFigures label={`Variants of ${shortId(node)}`} variants={data.variants} />;
}
