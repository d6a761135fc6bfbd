// The title of the document: the room's name, and before it how many lines of the chat have not been seen.

import { say } from './say.js';

let room = '';
let unseen = 0;

/** @param {string} name of the room; empty: none */
export function titleRoom(name) {
  if (name !== room) unseen = 0;
  room = name;
  show();
}

/** @param {number} count how many lines of the chat have not been seen */
export function titleUnseen(count) {
  unseen = count;
  show();
}

function show() {
  const name = room === '' ? say('title') : say('title.room', { room });
  const title = unseen > 0 ? say('title.unseen', { count: unseen, title: name }) : name;
  if (document.title !== title) document.title = title;
}
