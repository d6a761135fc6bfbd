// Which room names and display names the server accepts, so that the page can say so before it asks.

const ROOM_NAME = /^(?!\.{1,2}$)[\p{L}\p{N}._-]{1,64}$/u;
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/;
const MAX_DISPLAY_NAME = 64;

export const DEFAULT_NAME = 'Guest';

/**
 * @param {string} name
 * @returns {string | null} what is wrong with it, in words; null: nothing
 */
export function roomNameFault(name) {
  if (name === '') return 'Type the name of a room.';
  if (/\s/.test(name)) return 'A room name has no spaces; use “-” or “_” instead.';
  if ([...name].length > 64) return 'A room name has at most 64 characters.';
  if (!ROOM_NAME.test(name))
    return 'A room name is made of letters and digits of any script, “.”, “_” and “-”.';
  return null;
}

/**
 * @param {string} name
 * @returns {string | null} what is wrong with it, in words; null: nothing
 */
export function displayNameFault(name) {
  if (name.trim() === '') return 'A name needs at least one visible character.';
  if ([...name].length > MAX_DISPLAY_NAME) return `A name has at most ${MAX_DISPLAY_NAME} characters.`;
  if (CONTROL.test(name)) return 'A name has no control characters.';
  return null;
}

/**
 * The form by which room names are compared.
 * @param {string} name
 */
export function foldRoomName(name) {
  // Upper case first: it alone spells out what folds into several letters, such as “ß”.
  return name.normalize('NFKC').toUpperCase().toLowerCase().normalize('NFKC');
}

/**
 * @param {string} name
 * @returns {string} the path of the room's page
 */
export function roomPath(name) {
  return `/r/${encodeURIComponent(name)}`;
}

/**
 * @param {string} path a location's pathname
 * @returns {string | null} the room that it names; null: the lobby
 */
export function roomOfPath(path) {
  const match = /^\/r\/([^/]+)\/?$/.exec(path);
  if (!match?.[1]) return null;
  try {
    return decodeURIComponent(match[1]);
  } catch (error) {
    if (error instanceof URIError) return match[1];
    throw error;
  }
}
