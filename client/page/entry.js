// Whether the user is asked, before a room is entered, how to take part, and what this tab remembers of the answer.
//
// A tab asks once: a reload, a jump to another room and Back go on as the user was. Somebody who has chosen not to be
// asked enters at once, and so does a page whose name was stored by something else than this page's question, such
// as a program that runs in a browser, or a page that embeds this one: it has no `ask`.

/**
 * Of this tab: whether it has entered a room, and which devices were on in which room, to go on after a reload.
 * @typedef {{ entered: boolean, room: string, camera: boolean, microphone: boolean }} TabMemory
 */

/**
 * @param {{ entered: boolean, ask: boolean | null, named: boolean }} known `ask`: what the user chose, null if the
 *   user was never asked on this device; `named`: whether a name is stored
 */
export function mustAsk({ entered, ask, named }) {
  if (entered) return false;
  return ask ?? !named;
}

const KEY = 'roomfsm.tab';
/** @type {TabMemory} */
const NOTHING = { entered: false, room: '', camera: false, microphone: false };

export class Tab {
  /** @type {TabMemory} */
  #memory;

  /** @param {Pick<Storage, 'getItem' | 'setItem'> | null} storage null: nothing survives a reload */
  constructor(storage) {
    this.#storage = storage;
    this.#memory = { ...NOTHING, ...read(storage) };
  }
  #storage;

  get entered() {
    return this.#memory.entered;
  }

  /**
   * @param {string} room
   * @returns {{ camera: boolean, microphone: boolean }} what was on there when it was last told
   */
  onIn(room) {
    const { camera, microphone } = this.#memory.room === room ? this.#memory : NOTHING;
    return { camera, microphone };
  }

  /**
   * @param {string} room
   * @param {{ camera: boolean, microphone: boolean }} on
   */
  remember(room, { camera, microphone }) {
    const memory = { entered: true, room, camera, microphone };
    if (JSON.stringify(memory) === JSON.stringify(this.#memory)) return;
    this.#memory = memory;
    try {
      this.#storage?.setItem(KEY, JSON.stringify(memory));
    } catch (error) {
      console.debug('a reload will not go on', error);
    }
  }
}

/**
 * @param {Pick<Storage, 'getItem'> | null} storage
 * @returns {Partial<TabMemory>}
 */
function read(storage) {
  try {
    const found = JSON.parse(storage?.getItem(KEY) ?? '{}');
    return typeof found === 'object' && found !== null ? found : {};
  } catch (error) {
    console.debug('what this tab remembered cannot be read', error);
    return {};
  }
}
