// A file in a line of the chat: a picture, small and in a place of a fixed height, so that nothing moves when it comes,
// and a link that saves the file, with its name and size. Only what the server has recognized as a picture is shown.

import { BASE } from '../wire/base.js';
import { bdi, element, icon, name } from './dom.js';
import { say, saySize } from './say.js';

/** @import {FileInfo} from '../wire/messages.d.ts' */

/**
 * @param {FileInfo} file
 * @param {boolean} gone the room was opened anew, and has no files of before
 * @returns {HTMLElement}
 */
export function fileOf(file, gone) {
  const size = saySize(file.size);
  const said = [icon('file'), bdi(file.name, { class: 'file-name' }), element('span', { class: 'file-size', text: size })];
  if (gone) return element('div', { class: 'chat-file' }, element('span', { class: 'file-link' }, ...said, absence()));
  const address = `${BASE}/${file.path}`;
  const link = /** @type {HTMLAnchorElement} */ (element('a', { class: 'file-link', testid: 'chat-file' }, ...said));
  link.href = address;
  link.download = file.name;
  name(link, say('file.save', { name: file.name, size }));
  const root = element('div', { class: 'chat-file' });
  if (file.mediaType.startsWith('image/')) root.append(picture(file, address, () => link.append(absence())));
  root.append(link);
  return root;
}

/**
 * Whether the server has the file no more. It may also be too busy, or out of reach.
 * @param {string} address
 */
async function isGone(address) {
  try {
    return (await fetch(address, { method: 'HEAD' })).status === 404;
  } catch {
    return false;
  }
}

function absence() {
  return element('span', { class: 'file-size', text: say('file.gone') });
}

/**
 * @param {FileInfo} file
 * @param {string} address
 * @param {() => void} onGone
 */
function picture(file, address, onGone) {
  const image = /** @type {HTMLImageElement} */ (element('img'));
  const shows = element('button', { class: 'file-picture', testid: 'chat-picture' }, image);
  name(shows, say('file.show', { name: file.name }));
  image.alt = '';
  image.loading = 'lazy';
  image.decoding = 'async';
  image.addEventListener('error', async () => {
    shows.remove();
    if (await isGone(address)) onGone();
  });
  image.src = address;
  shows.addEventListener('click', async () => {
    const { showPicture } = await import('./picture-dialog.js');
    showPicture(file.name, address);
  });
  return shows;
}
