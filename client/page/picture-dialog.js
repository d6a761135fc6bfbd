// Shows a picture of the chat as large as the window. It is loaded when somebody wants to see one.

import { bdi, element, icon, name } from './dom.js';
import { say } from './say.js';

/**
 * @param {string} called
 * @param {string} address
 */
export function showPicture(called, address) {
  const image = /** @type {HTMLImageElement} */ (element('img'));
  image.src = address;
  image.alt = called;
  const close = element('button', { class: 'tool', testid: 'picture-close' }, icon('close'));
  name(close, say('file.close'));
  const head = element('div', { class: 'picture-head' }, bdi(called, { class: 'file-name' }), close);
  const dialog = /** @type {HTMLDialogElement} */ (element('dialog', { class: 'picture', testid: 'picture' }, head, image));
  dialog.setAttribute('aria-label', called);
  const end = () => dialog.close();
  close.addEventListener('click', end);
  // A click beside the picture closes it, too.
  dialog.addEventListener('click', ({ target }) => target === dialog && end());
  dialog.addEventListener('close', () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}
