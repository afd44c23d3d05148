/** Puts words in the places that a text has for them. */
export function fill(text: string, words: Record<string, string | number>): string {
  return text.replace(/\{(\w+)\}/g, (all, name: string) => String(words[name] ?? all));
}
