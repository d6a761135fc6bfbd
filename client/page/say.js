// Fills in the texts of the catalogue. A value that is written from right to left is isolated from the text around
// it, as Unicode's bidirectional algorithm (UAX 9) provides for: without that, a Hebrew name would drag the
// punctuation and the numbers behind it to its other side.

import { EN } from './words-en.js';

/** @typedef {keyof typeof EN} Key */
/** @typedef {string | number} Value */

/**
 * The names of the parameters in a text.
 * @template {string} Text
 * @typedef {Text extends `${string}{${infer Name}}${infer Rest}` ? Name | NamesIn<Rest> : never} NamesIn
 */

/**
 * The names of a message's parameters; one with plural forms always has `count`.
 * @template {Key} K
 * @typedef {(typeof EN)[K] extends string
 *   ? NamesIn<(typeof EN)[K]>
 *   : 'count' | NamesIn<Extract<(typeof EN)[K][keyof (typeof EN)[K]], string>>} Names
 */

/** The keys of the texts without parameters. @typedef {{ [K in Key]: [Names<K>] extends [never] ? K : never }[Key]} Plain */

const LANGUAGE = 'en';
const plural = new Intl.PluralRules(LANGUAGE);
const number = new Intl.NumberFormat(LANGUAGE);

/** Letters that are written from right to left, and the marks and embeddings that force a direction. */
const RIGHT_TO_LEFT =
  /[\u0590-\u08FF\u200F\u202B\u202E\u2067\uFB1D-\uFDFF\uFE70-\uFEFC\u{10800}-\u{10FFF}\u{1E800}-\u{1EFFF}]/u;
const BIDI_CONTROLS = /[\u202A-\u202E\u2066-\u2069]/gu;
const FIRST_STRONG_ISOLATE = '\u2068';
const POP_ISOLATE = '\u2069';

/**
 * @template {Key} K
 * @param {K} key
 * @param {[Names<K>] extends [never] ? [] : [Record<Names<K>, Value>]} values
 * @returns {string}
 */
export function say(key, ...values) {
  /** @type {string | Readonly<Record<string, string>> | undefined} */
  const message = EN[key];
  // A code or a state of a newer server has no text here.
  if (message === undefined) return key.slice(key.lastIndexOf('.') + 1);
  const given = /** @type {Record<string, Value>} */ (values[0] ?? {});
  return fill(typeof message === 'string' ? message : formOf(message, Number(given['count'])), given);
}

/**
 * @param {Readonly<Record<string, string>>} forms by plural category
 * @param {number} count
 */
export function formOf(forms, count) {
  return forms[plural.select(count)] ?? forms['other'] ?? '';
}

/**
 * @param {string} text
 * @param {Record<string, Value>} values
 */
export function fill(text, values) {
  return text.replace(/\{(\w+)\}/g, (whole, name) => {
    const value = values[name];
    if (value === undefined) return whole;
    return typeof value === 'number' ? number.format(value) : isolated(value);
  });
}

/**
 * @param {string} value
 * @returns {string} the same with a direction of its own, whatever controls it has in it
 */
export function isolated(value) {
  if (!RIGHT_TO_LEFT.test(value)) return value.replace(BIDI_CONTROLS, '');
  return `${FIRST_STRONG_ISOLATE}${value.replace(BIDI_CONTROLS, '')}${POP_ISOLATE}`;
}
