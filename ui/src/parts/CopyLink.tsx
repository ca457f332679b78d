import { useState } from "react";
import { Button } from "./Button";

/** Copies the address of what is shown. Other readers see the same view. */
export function CopyLink({
  text = () => window.location.href,
  label = "Copy link",
}: {
  text?: () => string;
  label?: string;
}) {
  const [copied, setCopied] = useState(false);
  const copy = async () => {
    await navigator.clipboard.writeText(text());
    setCopied(true);
    setTimeout(() => setCopied(false), 2000);
  };
  return (
    <Button icon="copy" onClick={() => void copy()}>
      {copied ? "Copied" : label}
    </Button>
  );
}
