/** The key in the fragment of an address that `regraft up` or `regraft open` gave; null where there is none. */
export function keyOf(fragment: string): string | null {
  const key = new URLSearchParams(fragment.replace(/^#/, "")).get("key");
  return key ? key : null;
}

/** Where to go after a sign-in: a place of this page, never an address of another server. */
export function placeAfter(wanted: string | null): string {
  if (!wanted?.startsWith("/") || /^\/[/\\]/.test(wanted) || /[\p{Cc}\\]/u.test(wanted)) return "/";
  return wanted.startsWith("/sign-in") ? "/" : wanted;
}
