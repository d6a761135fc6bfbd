// Asks the user before leaving turns off what the others see and hear: by a dialog of the page, or by the browser's
// dialog if the page is closed. On the way to another room, camera and microphone can go along.

import { roomOfPath } from '../room/names.js';
import { button, find, setText } from './dom.js';
import { say } from './say.js';
import { rememberAlong } from './settings.js';

/** @import {Room} from '../room/room.js' */

export class LeaveGuard {
  /** @type {Promise<boolean> | null} the question that is being asked */
  #asked = null;
  /** Whether the way that was looked at last leads to another room. */
  #toRoom = false;

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

  /** Whether anything is shared. */
  get onAir() {
    return [...this.#room.presenting.publications.values()].some(({ stream }) => stream.getTracks().length > 0);
  }

  /**
   * @param {string} path
   * @returns {boolean} whether going there ends something that the user must agree to
   */
  ends(path) {
    const name = roomOfPath(path);
    this.#toRoom = name !== null;
    if (!this.onAir || name === this.#room.state?.name) return false;
    const { takesAlong, presenting } = this.#room;
    return !(this.#toRoom && takesAlong && !presenting.publications.has('screen'));
  }

  /** @returns {Promise<boolean>} whether the user goes. Escape means to stay */
  ask() {
    this.#asked ??= new Promise((resolve) => {
      this.#show();
      // Escape closes the dialog without changing its value.
      this.#dialog.returnValue = 'stay';
      this.#dialog.addEventListener(
        'close',
        () => {
          this.#asked = null;
          const along = this.#dialog.returnValue === 'along';
          const goes = along || this.#dialog.returnValue === 'leave';
          if (goes && this.#toRoom) {
            this.#room.takesAlong = along;
            rememberAlong(along);
          }
          resolve(goes);
        },
        { once: true },
      );
      this.#dialog.showModal();
    });
    return this.#asked;
  }

  #show() {
    const { publications } = this.#room.presenting;
    const along = this.#toRoom && publications.has('camera');
    // Whoever takes camera and microphone along anyway is asked only because of the screen.
    const consequence = along
      ? `${say('leave.alongConsequence')} ${say(publications.has('screen') ? 'leave.screenStays' : 'leave.askedOnce')}`
      : say('leave.consequence');
    setText(find(this.#dialog, 'h2', HTMLElement), say(along ? 'leave.alongQuestion' : 'leave.question'));
    setText(find(this.#dialog, 'p', HTMLElement), consequence);
    setText(button(this.#dialog, 'confirm-stay'), say('leave.stay'));
    setText(button(this.#dialog, 'confirm-leave'), say(along ? 'leave.without' : 'leave.leave'));
    const take = button(this.#dialog, 'confirm-along');
    setText(take, say('leave.along'));
    take.hidden = !along;
  }
}

/** @param {BeforeUnloadEvent} event */
function hold(event) {
  event.preventDefault();
}
