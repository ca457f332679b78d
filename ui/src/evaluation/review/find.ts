/** Where a text occurs in others: for each text, the starts of all places, upper and lower case alike. */
export function placesIn(texts: readonly string[], wanted: string, most = 1000): number[][] {
  const needle = wanted.toLowerCase();
  let left = needle ? most : 0;
  return texts.map((text) => {
    const found: number[] = [];
    const hay = text.toLowerCase();
    if (hay.length !== text.length) return found; // a letter whose lower case is longer would shift all places
    for (let at = hay.indexOf(needle); at >= 0 && left > 0; at = hay.indexOf(needle, at + needle.length)) {
      found.push(at);
      left -= 1;
    }
    return found;
  });
}
