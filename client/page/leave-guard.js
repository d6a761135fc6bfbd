// Asks before going away ends a broadcast: in a dialog of the page, or the browser's where the page is closed.

/** @import {Room} from '../room/room.js' */

export class LeaveGuard {
  /** @type {Promise<boolean> | null} the question being asked */
  #asked = null;

  /**
   * @param {HTMLDialogElement} dialog
   * @param {Room} room
   */
  constructor(dialog, room) {
    this.#dialog = dialog;
    this.#room = room;
    // There only while needed: a page that listens to this may not be kept for going back to it.
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

  /** @returns {Promise<boolean>} whether the user leaves, though that ends the broadcast; Escape stays */
  ask() {
    this.#asked ??= new Promise((resolve) => {
      // Escape closes it with the value as it was.
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
