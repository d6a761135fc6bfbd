// Finds web addresses in a text.

const ADDRESS = /(?<![\p{L}\p{N}_])https?:\/\/[^\s<>"“”„«»]+/giu;
/** Punctuation after an address belongs to the sentence, and not to the address. */
const SENTENCE_END = /[.,;:!?'’…*_~]+$/u;
/** @type {Record<string, string>} */
const OPENING = { ')': '(', ']': '[', '}': '{' };

/**
 * @typedef {{ text: string, href?: string }} Piece `href`: the address of a link; without one it is plain text
 */

/**
 * @param {string} text
 * @returns {Piece[]} the whole text in order
 */
export function splitLinks(text) {
  /** @type {Piece[]} */
  const pieces = [];
  let done = 0;
  for (const { 0: found, index } of text.matchAll(ADDRESS)) {
    const address = withoutEnd(found);
    const href = webAddress(address);
    if (href === null) continue;
    if (index > done) pieces.push({ text: text.slice(done, index) });
    pieces.push({ text: address, href });
    done = index + address.length;
  }
  if (done < text.length) pieces.push({ text: text.slice(done) });
  return pieces;
}

/**
 * Remove the sentence's punctuation, and a bracket that was opened before the address.
 * @param {string} address
 */
function withoutEnd(address) {
  for (;;) {
    const shorter = address.replace(SENTENCE_END, '');
    const last = shorter.at(-1) ?? '';
    const opening = OPENING[last];
    const unopened = opening !== undefined && count(shorter, last) > count(shorter, opening);
    const next = unopened ? shorter.slice(0, -1) : shorter;
    if (next === address) return address;
    address = next;
  }
}

/**
 * @param {string} text
 * @param {string} character
 */
function count(text, character) {
  return text.split(character).length - 1;
}

/**
 * @param {string} text
 * @returns {string | null} null: no address
 */
function webAddress(text) {
  return URL.canParse(text) ? new URL(text).href : null;
}
