import { useMe } from "./session";

/** Who is signed in. */
export function Identity() {
  const me = useMe();
  if (!me) return null;
  return <span className="soft">{me.name ?? me.role}</span>;
}
