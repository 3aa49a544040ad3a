const marks: Record<string, string> = { '\n': '⏎', '\r': '␍', '\t': '⇥', '\0': '␀' }

// Zero-width characters, those that turn the direction of writing, and the other controls.
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what it is about
const hidden = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g

/** A name as it is: what cannot be seen in it, or turns its neighbours round, is shown by a mark or its code. */
export function visible(text: string): string {
  return text.replace(hidden, (c) => marks[c] ?? `‹${c.charCodeAt(0).toString(16).toUpperCase().padStart(4, '0')}›`)
}
