/**
 * Python's idea of white space, which the reference's `strip` goes by. JavaScript's `trim` differs: it
 * takes U+FEFF and leaves U+001C to U+001F and U+0085.
 * @module
 */

const space =
  "[\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]";
const leading = new RegExp(`^${space}+`);
const oneSpace = new RegExp(`^${space}$`);

/** `str.lstrip()`. */
export function stripStart(text: string): string {
  return text.replace(leading, "");
}

/** `str.rstrip()`. */
export function stripEnd(text: string): string {
  // Backwards by hand: a pattern anchored at the end takes quadratic time on long runs of spaces.
  let end = text.length;
  while (end > 0 && oneSpace.test(text[end - 1]!)) end--;
  return text.slice(0, end);
}

/** `str.strip()`. */
export function strip(text: string): string {
  return stripEnd(stripStart(text));
}
