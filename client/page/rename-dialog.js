// The question for another name of one's own.

import { askDisplayName } from '../room/naming.js';
import { button, find, setText } from './dom.js';
import { say } from './say.js';
import { rememberName } from './settings.js';
import { explain, nameFault } from './words.js';

/** @import {Room} from '../room/room.js' */
/** @import {Notices} from './notices.js' */

export class RenameDialog {
  /**
   * @param {HTMLDialogElement} dialog
   * @param {Room} room
   * @param {Notices} notices
   */
  constructor(dialog, room, notices) {
    this.#dialog = dialog;
    this.#room = room;
    this.#notices = notices;
    this.#input = find(dialog, '[data-testid="rename-input"]', HTMLInputElement);
    this.#fault = find(dialog, '.fault', HTMLElement);
    button(dialog, 'rename-cancel').addEventListener('click', () => dialog.close());
    find(dialog, 'form', HTMLFormElement).addEventListener('submit', (event) => {
      event.preventDefault();
      void this.#rename();
    });
    this.#input.addEventListener('input', () => this.#tell(''));
  }
  #dialog;
  #room;
  #notices;
  #input;
  #fault;

  open() {
    this.#input.value = this.#room.me?.name ?? '';
    this.#tell('');
    this.#dialog.showModal();
    this.#input.select();
  }

  /** @param {string} fault */
  #tell(fault) {
    setText(this.#fault, fault);
    this.#input.setAttribute('aria-invalid', String(fault !== ''));
  }

  async #rename() {
    const typed = this.#input.value;
    const answer = await askDisplayName(typed);
    const { name } = answer;
    // If more was typed meanwhile, or the dialog was closed, this answer is not wanted any more.
    if (!this.#dialog.open || this.#input.value !== typed) return;
    if (name === undefined) {
      this.#tell(nameFault(answer) ?? '');
      return;
    }
    try {
      if (name !== this.#room.me?.name) await this.#room.rename(name);
      rememberName(name);
      this.#notices.takeBack('rename');
      this.#dialog.close();
    } catch (error) {
      this.#tell(`${say('people.notRenamed')} ${explain(error)}`);
    }
  }
}
