/**
 * Characters that a reader cannot see or that reorder what is seen: C0 and C1 controls, bidirectional marks and
 * isolates, zero-width and line separators, the byte-order mark, tag characters, lone surrogates.
 */
const unseen =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for
  /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|[\u{e0000}-\u{e007f}]|\p{Surrogate}/gu

/** The text with unseen characters written out: U+202E becomes the six characters `\u202E`. */
export function visible(text: string): string {
  return text.replace(unseen, (character) => {
    const code = character.codePointAt(0)!
    return code > 0xffff
      ? `\\u{${code.toString(16).toUpperCase()}}`
      : `\\u${code.toString(16).toUpperCase().padStart(4, '0')}`
  })
}

/** Text for HTML, element content and quoted attributes alike. */
export function html(text: string | number): string {
  return visible(String(text)).replace(
    /[&<>"'`]/g,
    (character) =>
      ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;', '`': '&#96;' })[character] ?? character,
  )
}

/** JSON for a script element: nothing in it can end the element, open a comment or break a line. */
export function scriptJson(value: unknown): string {
  return JSON.stringify(value)
    .replace(/</g, '\\u003c')
    .replace(/>/g, '\\u003e')
    .replace(/\u2028/g, '\\u2028')
    .replace(/\u2029/g, '\\u2029')
}

/** Text for a cell or a line of Markdown: neither markup, HTML, a link nor a new line can come out of it. */
export function markdown(text: string | number): string {
  return visible(String(text))
    .replace(/&/g, '&amp;')
    .replace(/</g, '&lt;')
    .replace(/>/g, '&gt;')
    .replace(/[\\`*_[\]|~#!@$^]/g, '\\$&')
    .replace(/:\/\//g, '\\://')
    .replace(/\bwww\./gi, (www) => `${www.slice(0, 3)}\\.`)
}

/** Names as shown, distinguished where two look the same once their unseen characters are written out. */
export function displayNames(names: readonly string[]): string[] {
  const used = new Set<string>()
  return names.map((name) => {
    const shown = visible(name) === '' ? '(empty)' : visible(name)
    let candidate = shown
    for (let n = 2; used.has(candidate); n++) candidate = `${shown} (${n})`
    used.add(candidate)
    return candidate
  })
}
