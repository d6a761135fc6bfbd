// Asks the user before leaving ends a broadcast: by a dialog of the page, or by the browser's dialog if the page
// is closed.

/** @import {Room} from '../room/room.js' */

export class LeaveGuard {
  /** @type {Promise<boolean> | null} the question that is being asked */
  #asked = null;

  /**
   * @param {HTMLDialogElement} dialog
   * @param {Room} room
   */
  constructor(dialog, room) {
    this.#dialog = dialog;
    this.#room = room;
    // The listener is added only while it is needed, because a browser may not cache a page that has it for going
    // back.
    room.on('change', (what) => {
      if (what !== 'media') return;
      if (this.onAir) addEventListener('beforeunload', hold);
      else removeEventListener('beforeunload', hold);
    });
  }
  #dialog;
  #room;

  get onAir() {
    return this.#room.presenting.publications.size > 0;
  }

  /** @returns {Promise<boolean>} whether the user leaves although that ends the broadcast. Escape means to stay */
  ask() {
    this.#asked ??= new Promise((resolve) => {
      // Escape closes the dialog without changing its value.
      this.#dialog.returnValue = 'stay';
      this.#dialog.addEventListener(
        'close',
        () => {
          this.#asked = null;
          resolve(this.#dialog.returnValue === 'leave');
        },
        { once: true },
      );
      this.#dialog.showModal();
    });
    return this.#asked;
  }
}

/** @param {BeforeUnloadEvent} event */
function hold(event) {
  event.preventDefault();
}
