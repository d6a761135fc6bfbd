// Fills in the texts of the catalogue in the user's language. A value that is written in the other direction is isolated
// from the text around it, as Unicode's bidirectional algorithm (UAX 9) provides for: without that, a Hebrew name would
// drag the punctuation and the numbers behind it to its other side, and so would a Latin name in an Arabic sentence.

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

/** A text, or its forms by plural category. @typedef {string | Readonly<Record<string, string>>} Message */
/** The texts of a language by their keys. What it lacks is said in English. @typedef {Readonly<Record<string, Message>>} Catalogue */

/**
 * @param {string} locale a language, or one with a region
 * @param {Catalogue} messages
 * @param {'ltr' | 'rtl'} direction
 */
function voice(locale, messages, direction) {
  return {
    locale,
    messages,
    direction,
    plural: new Intl.PluralRules(locale),
    number: new Intl.NumberFormat(locale),
    list: new Intl.ListFormat(locale, { type: 'conjunction' }),
    names: new Intl.Collator(locale, { numeric: true, sensitivity: 'base' }),
    /** @type {Map<string, Intl.DateTimeFormat>} */
    dates: new Map(),
  };
}

let now = voice('en', EN, 'ltr');

/**
 * Speak this language from now on.
 * @param {string} locale
 * @param {Catalogue} messages
 * @param {'ltr' | 'rtl'} direction
 */
export function speak(locale, messages, direction) {
  now = voice(locale, messages, direction);
}

/** Letters that are written from right to left, and the marks and embeddings that force a direction. */
const RIGHT_TO_LEFT =
  /[\u0590-\u08FF\u200F\u202B\u202E\u2067\uFB1D-\uFDFF\uFE70-\uFEFC\u{10800}-\u{10FFF}\u{1E800}-\u{1EFFF}]/u;
const BIDI_CONTROLS = /[\u202A-\u202E\u2066-\u2069]/gu;
const FIRST_STRONG_ISOLATE = '\u2068';
const POP_ISOLATE = '\u2069';

const LEFT_TO_RIGHT = /\p{L}/u;

/**
 * @template {Key} K
 * @param {K} key
 * @param {[Names<K>] extends [never] ? [] : [Record<Names<K>, Value>]} values
 * @returns {string}
 */
export function say(key, ...values) {
  const message = textOf(key);
  // A code or a state of a newer server has no text here.
  if (message === undefined) return key.slice(key.lastIndexOf('.') + 1);
  const given = /** @type {Record<string, Value>} */ (values[0] ?? {});
  return fill(typeof message === 'string' ? message : formOf(message, Number(given['count'])), given);
}

/**
 * @param {string} key
 * @returns {Message | undefined} undefined: no language has it
 */
function textOf(key) {
  const own = Object.hasOwn(now.messages, key) ? now.messages[key] : undefined;
  return own ?? (Object.hasOwn(EN, key) ? /** @type {Catalogue} */ (EN)[key] : undefined);
}

/**
 * The text for what a server says by a code, which may be newer than this page.
 * @param {string} key of a text without parameters
 * @returns {string | undefined} undefined: there is none
 */
export function sayIfKnown(key) {
  const message = textOf(key);
  return typeof message === 'string' ? message : undefined;
}

/**
 * @param {string[]} items
 * @returns {string} as in "Ada, Bob and Cyd"
 */
export function listed(items) {
  return now.list.format(items.map(isolated));
}

/**
 * @param {Date | number} at
 * @param {Intl.DateTimeFormatOptions} options
 * @returns {string} the date or time as the language writes it
 */
export function sayDate(at, options) {
  const key = JSON.stringify(options);
  let format = now.dates.get(key);
  if (!format) now.dates.set(key, (format = new Intl.DateTimeFormat(now.locale, options)));
  return format.format(at);
}

/**
 * The order of two names in the language: `room-7` comes before `room-10`, and neither case nor accents divide names.
 * @param {string} a
 * @param {string} b
 * @returns {number} negative: `a` comes first
 */
export function compareNames(a, b) {
  return now.names.compare(a, b);
}

/** @param {number} value */
export function sayNumber(value) {
  return now.number.format(value);
}

const SIZES = /** @type {const} */ (['byte', 'kilobyte', 'megabyte', 'gigabyte']);

/**
 * @param {number} bytes
 * @returns {string} as in "2.4 MB"
 */
export function saySize(bytes) {
  const power = Math.min(SIZES.length - 1, Math.max(0, Math.floor(Math.log10(Math.max(bytes, 1)) / 3)));
  const unit = SIZES[power] ?? 'byte';
  const digits = bytes / 1000 ** power < 10 && power > 0 ? 1 : 0;
  const format = new Intl.NumberFormat(now.locale, { style: 'unit', unit, unitDisplay: 'short', maximumFractionDigits: digits });
  return format.format(bytes / 1000 ** power);
}

/**
 * @param {Readonly<Record<string, string>>} forms by plural category
 * @param {number} count
 */
export function formOf(forms, count) {
  return forms[now.plural.select(count)] ?? forms['other'] ?? '';
}

/**
 * @param {string} text
 * @param {Record<string, Value>} values
 */
export function fill(text, values) {
  return text.replace(/\{(\w+)\}/g, (whole, name) => {
    const value = values[name];
    if (value === undefined) return whole;
    return typeof value === 'number' ? sayNumber(value) : isolated(value);
  });
}

/**
 * @param {string} value
 * @returns {string} the same with a direction of its own, whatever controls it has in it
 */
export function isolated(value) {
  const plain = value.replace(BIDI_CONTROLS, '');
  const turned = RIGHT_TO_LEFT.test(value) || (now.direction === 'rtl' && LEFT_TO_RIGHT.test(value));
  return turned ? `${FIRST_STRONG_ISOLATE}${plain}${POP_ISOLATE}` : plain;
}
