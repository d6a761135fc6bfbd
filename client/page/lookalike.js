// The mark for a name that looks like the name of somebody who took it earlier in this room.

import { element } from './dom.js';

/** @returns {HTMLElement} */
export function lookalikeMark() {
  const mark = element('span', { class: 'badge', text: 'same name', testid: 'lookalike' });
  mark.title = 'Another person, who was here first, has a name that looks the same.';
  return mark;
}
