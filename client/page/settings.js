// What the browser remembers between visits; where storage is refused (private mode), for this page only.

const NAME_KEY = 'roomfsm.name';

/** @type {string | null} */
let nameHere = null;

/** @returns {string} the remembered display name; empty: none */
export function rememberedName() {
  if (nameHere !== null) return nameHere;
  try {
    return localStorage.getItem(NAME_KEY) ?? '';
  } catch (error) {
    console.debug('no storage for the name', error);
    return '';
  }
}

/** @param {string} name */
export function rememberName(name) {
  nameHere = name;
  try {
    localStorage.setItem(NAME_KEY, name);
  } catch (error) {
    console.debug('the name is remembered for this page only', error);
  }
}
