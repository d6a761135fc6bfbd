// The files that are on their way to the chat, one after another, each with how much of it has gone and a button that
// stops it. It is loaded when somebody sends a file.

import { UploadError } from '../room/upload.js';
import { bdi, element, icon, name } from './dom.js';
import { say, saySize } from './say.js';

/** @import {Room} from '../room/room.js' */
/** @import {Notices} from './notices.js' */

/** So many files are taken at once. Whoever drops a folder of a thousand did not mean to. */
const MOST = 20;

export class SendingView {
  /** @type {Promise<void>} */
  #last = Promise.resolve();

  /**
   * @param {HTMLElement} list
   * @param {Room} room
   * @param {Notices} notices
   */
  constructor(list, room, notices) {
    this.#list = list;
    this.#room = room;
    this.#notices = notices;
  }
  #list;
  #room;
  #notices;

  /**
   * @param {readonly File[]} files
   * @param {{ to?: string, replyTo?: number }} about
   */
  send(files, about) {
    if (files.length > MOST) {
      this.#notices.show({ text: say('file.tooMany', { count: MOST }), kind: 'error', topic: 'file' });
      return;
    }
    for (const file of files) this.#send(file, about);
  }

  /**
   * @param {File} file
   * @param {{ to?: string, replyTo?: number }} about
   */
  #send(file, about) {
    const most = this.#room.connection.welcome?.limits.fileBytes ?? 0;
    if (file.size > most) {
      const text = say('file.tooLarge', { name: file.name, most: saySize(most) });
      this.#notices.show({ text, kind: 'error', topic: `file ${file.name}` });
      return;
    }
    const stop = new AbortController();
    const progress = /** @type {HTMLProgressElement} */ (element('progress'));
    progress.max = 1;
    progress.value = 0;
    progress.setAttribute('aria-label', say('file.sending', { name: file.name }));
    const cancel = element('button', { class: 'tool', testid: 'file-cancel' }, icon('close'));
    name(cancel, say('file.cancel', { name: file.name }));
    cancel.addEventListener('click', () => stop.abort());
    const entry = element('li', { testid: 'file-sending' }, bdi(file.name, { class: 'file-name' }), progress, cancel);
    this.#list.append(entry);
    this.#list.hidden = false;
    this.#last = this.#last.then(() => this.#bring(file, about, progress, stop.signal)).finally(() => {
      entry.remove();
      this.#list.hidden = this.#list.childElementCount === 0;
    });
  }

  /**
   * @param {File} file
   * @param {{ to?: string, replyTo?: number }} about
   * @param {HTMLProgressElement} progress
   * @param {AbortSignal} signal
   */
  async #bring(file, about, progress, signal) {
    try {
      await this.#room.sendFile(file, { ...about, signal, onprogress: (part) => (progress.value = part) });
    } catch (error) {
      if (error instanceof UploadError && error.code === 'aborted') return;
      this.#notices.showFailure(say('file.notSent', { name: file.name }), error, `file ${file.name}`);
    }
  }
}
