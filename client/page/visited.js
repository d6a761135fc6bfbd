// The rooms in which the user was, the latest first, as the browser remembers them between visits. If storage is
// refused (private mode), they are kept for this page only.

const KEY = 'roomfsm.rooms';
const MOST = 12;

/** @type {string[] | null} */
let here = null;

/** @returns {readonly string[]} the names of the rooms, the latest first */
export function visitedRooms() {
  return here ?? stored();
}

/** @param {string} name of the room that was entered */
export function rememberRoom(name) {
  here = [name, ...visitedRooms().filter((other) => other !== name)].slice(0, MOST);
  try {
    localStorage.setItem(KEY, JSON.stringify(here));
  } catch (error) {
    console.debug('the rooms are remembered for this page only', error);
  }
}

/** @returns {string[]} */
function stored() {
  try {
    const names = JSON.parse(localStorage.getItem(KEY) ?? '[]');
    return Array.isArray(names) ? names.filter((name) => typeof name === 'string').slice(0, MOST) : [];
  } catch (error) {
    console.debug('no storage for the rooms', error);
    return [];
  }
}
