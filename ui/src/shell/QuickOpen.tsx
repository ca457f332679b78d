/** Opens a session, node, dataset or page by its name or the first digits of its id. */
export function QuickOpen() {
  return null;
}
