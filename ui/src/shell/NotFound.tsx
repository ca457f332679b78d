import { Link, useLocation } from "wouter";
import { Empty } from "../parts/Empty";
import { Page } from "../parts/Page";

/** The page of an address that leads nowhere. */
export function NotFound() {
  const [location] = useLocation();
  return (
    <Page title="No such page">
      <Empty title={`There is no page ${location}`}>
        <Link href="/">All sessions</Link>
      </Empty>
    </Page>
  );
}
