// JSON as Python writes it, of which digests are made, and the digest itself.

/**
 * Python's json.dumps: with its spaces, and every character beyond ASCII as `\uXXXX`.
 * @param {unknown} value plain JSON; of a map, names in their order
 * @returns {string}
 */
export function pythonJson(value) {
  if (Array.isArray(value)) return `[${value.map(pythonJson).join(', ')}]`;
  if (value !== null && typeof value === 'object') {
    return `{${Object.entries(value)
      .map(([name, entry]) => `${pythonJson(name)}: ${pythonJson(entry)}`)
      .join(', ')}}`;
  }
  return JSON.stringify(value).replace(/[\u007f-\uffff]/g, (character) => {
    // Python leaves the last character of ASCII as it is.
    return character === '\u007f' ? character : `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
  });
}

/**
 * @param {Record<string, unknown>} record
 * @returns {Record<string, unknown>} with its names sorted
 */
export function sorted(record) {
  return Object.fromEntries(Object.entries(record).sort(byName));
}

/** @type {(one: readonly [string, unknown], other: readonly [string, unknown]) => number} */
export const byName = ([one], [other]) => (one < other ? -1 : one > other ? 1 : 0);

/**
 * @param {readonly (string | ArrayBufferView)[]} parts one after another
 * @returns {Promise<string>} SHA-256 in hexadecimal
 */
export async function sha256(...parts) {
  const digest = await crypto.subtle.digest('SHA-256', joined(parts));
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/**
 * @param {readonly (string | ArrayBufferView)[]} parts
 * @returns {Uint8Array<ArrayBuffer>} the bytes of all, of texts in UTF-8
 */
export function joined(parts) {
  const bytes = parts.map((part) => (typeof part === 'string' ? new TextEncoder().encode(part) : bytesOf(part)));
  const whole = new Uint8Array(bytes.reduce((sum, part) => sum + part.length, 0));
  let place = 0;
  for (const part of bytes) {
    whole.set(part, place);
    place += part.length;
  }
  return whole;
}

/**
 * @param {ArrayBufferView} view
 * @returns {Uint8Array} the same memory
 */
export function bytesOf(view) {
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
}
