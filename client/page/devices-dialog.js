// The dialog in which devices are chosen while the user is in a room.

import { DeviceForm } from './device-form.js';
import { find, part } from './dom.js';

/** @import {Presenting} from '../media/presenting.js' */

export class DevicesDialog {
  /** It exists only while it is shown, so that it listens to the microphone only then. @type {DeviceForm | null} */
  #form = null;

  /**
   * @param {HTMLElement} root of the room's page
   * @param {Presenting} presenting
   */
  constructor(root, presenting) {
    this.#presenting = presenting;
    this.#dialog = find(root, '[data-part="devices-dialog"]', HTMLDialogElement);
    this.#place = part(this.#dialog, 'device-form');
    this.#dialog.addEventListener('close', () => this.destroy());
  }
  #presenting;
  #dialog;
  #place;

  show() {
    this.#form = new DeviceForm(this.#presenting);
    this.#place.replaceChildren(this.#form.root);
    this.#dialog.showModal();
  }

  update() {
    this.#form?.update();
  }

  destroy() {
    this.#form?.destroy();
    this.#form = null;
    this.#place.replaceChildren();
  }
}
