// Settings that the browser remembers between visits. If storage is refused (private mode), they are kept for this
// page only.

const NAME_KEY = 'roomfsm.name';

/** @type {string | null} */
let nameHere = null;

/** @returns {string} the remembered display name; empty if there is none */
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
