// Asks the user for the password of a room.

import { find, setText } from './dom.js';
import { say } from './say.js';

export class PasswordDialog {
  /** @param {HTMLDialogElement} dialog */
  constructor(dialog) {
    this.#dialog = dialog;
    this.#input = find(dialog, 'input', HTMLInputElement);
    find(dialog, 'form', HTMLFormElement).addEventListener('submit', () => {
      const given = this.#given;
      this.#given = null;
      given?.(this.#input.value);
    });
    find(dialog, '[data-testid="password-cancel"]', HTMLButtonElement).addEventListener('click', () => dialog.close());
    // What was typed does not stay in the page.
    dialog.addEventListener('close', () => (this.#input.value = ''));
  }
  #dialog;
  #input;
  /** @type {((password: string) => void) | null} */
  #given = null;

  /**
   * @param {string} room
   * @param {boolean} wrong whether a password was tried already
   * @param {(password: string) => void} given is called with what the user typed, unless the user gives up
   */
  ask(room, wrong, given) {
    setText(find(this.#dialog, '#password-question', HTMLElement), say('password.question', { room }));
    setText(find(this.#dialog, '#password-fault', HTMLElement), wrong ? say('password.wrong') : '');
    this.#given = given;
    if (!this.#dialog.open) this.#dialog.showModal();
  }

  /** Close the dialog, because the user wants something else by now. */
  dismiss() {
    this.#given = null;
    this.#dialog.close();
  }
}
