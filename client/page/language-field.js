// The field in which the language is chosen, on the pages outside a room. In a room the menu of the page has it.

import { find } from './dom.js';
import { currentLanguage, LANGUAGES } from './languages.js';

/** @import {Code} from './languages.js' */

/** Every language by its own name. @returns {[Code, string][]} */
export function languageNames() {
  return /** @type {Code[]} */ (Object.keys(LANGUAGES)).map((code) => [code, LANGUAGES[code].name]);
}

/**
 * @param {HTMLElement} root of a page that has the field
 * @param {(code: Code) => void} choose
 */
export function fillLanguageField(root, choose) {
  const select = find(root, '[data-testid="language"]', HTMLSelectElement);
  select.replaceChildren(
    ...languageNames().map(([code, name]) => Object.assign(document.createElement('option'), { value: code, text: name, lang: code })),
  );
  select.value = currentLanguage();
  select.addEventListener('change', () => choose(/** @type {Code} */ (select.value)));
}
