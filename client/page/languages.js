// The languages of the page. English is always there; another one is loaded when it is wanted, and the texts that it lacks
// are said in English.

import { speak } from './say.js';
import { EN } from './words-en.js';

/** @import {Catalogue} from './say.js' */

/**
 * `name`: what its speakers call it.
 * @typedef {{ name: string, direction: 'ltr' | 'rtl', load: () => Promise<Catalogue> }} Language
 */

/** By their codes (BCP 47). @satisfies {Record<string, Language>} */
const KNOWN = {
  en: { name: 'English', direction: 'ltr', load: async () => EN },
  ar: { name: 'العربية', direction: 'rtl', load: async () => (await import('./words-ar.js')).AR },
  de: { name: 'Deutsch', direction: 'ltr', load: async () => (await import('./words-de.js')).DE },
  es: { name: 'Español', direction: 'ltr', load: async () => (await import('./words-es.js')).ES },
  fr: { name: 'Français', direction: 'ltr', load: async () => (await import('./words-fr.js')).FR },
  uk: { name: 'Українська', direction: 'ltr', load: async () => (await import('./words-uk.js')).UK },
};

/** @typedef {keyof typeof KNOWN} Code */

/** @type {Readonly<Record<Code, Language>>} */
export const LANGUAGES = KNOWN;

/** @param {string} code @returns {code is Code} */
function isKnown(code) {
  return Object.hasOwn(LANGUAGES, code);
}

/**
 * @param {string | null} chosen what the user has chosen here; null: nothing
 * @param {readonly string[]} preferred the browser's languages, the best first, perhaps with regions
 * @returns {Code}
 */
export function languageOf(chosen, preferred) {
  if (chosen !== null && isKnown(chosen)) return chosen;
  return preferred.map(baseOf).find(isKnown) ?? 'en';
}

/**
 * @param {Code} code
 * @param {readonly string[]} preferred
 * @returns {string} the language with the region that the browser knows of the user, for dates and numbers
 */
export function localeOf(code, preferred) {
  return preferred.find((tag) => baseOf(tag) === code) ?? code;
}

/** @param {string} tag */
function baseOf(tag) {
  return tag.toLowerCase().split('-')[0] ?? '';
}

/** Milliseconds for which a page that begins waits for its language. */
const PATIENCE = 3_000;

/** @type {Code} */
let current = 'en';
/** The language that was asked for last. Another one that comes after it comes too late. @type {Code} */
let wanted = 'en';

/** The language that the page speaks now. */
export function currentLanguage() {
  return current;
}

/**
 * Speak a language from now on, unless another one is asked for before it comes. What the page shows already stays as it is.
 * @param {Code} code
 * @returns {Promise<void>} rejects with the browser's error if the language cannot be loaded; then nothing has changed
 */
export async function useLanguage(code) {
  const { direction, load } = LANGUAGES[code];
  wanted = code;
  const messages = await load();
  if (wanted !== code) return;
  current = code;
  speak(localeOf(code, navigator.languages), messages, direction);
  Object.assign(document.documentElement, { lang: code, dir: direction });
}

/**
 * Speak the language with which a page begins. A page in English is better than none, so this ends without the language
 * if it cannot be loaded, or does not come in time.
 * @param {Code} code
 * @param {() => void} cameLate is called if the language comes after all: what is shown is in English by then
 * @returns {Promise<void>}
 */
export async function beginIn(code, cameLate) {
  let late = false;
  const coming = useLanguage(code).then(
    () => {
      if (late && current === code) cameLate();
    },
    (error) => console.debug('the language could not be loaded', error),
  );
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  await Promise.race([coming, new Promise((resolve) => (timer = setTimeout(resolve, PATIENCE, undefined)))]);
  clearTimeout(timer);
  late = true;
}
