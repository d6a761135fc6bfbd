// The mark of a name that looks like that of somebody who is in the room under it already.

import { element } from './dom.js';

/** @returns {HTMLElement} */
export function lookalikeMark() {
  const mark = element('span', { class: 'badge', text: 'same name', testid: 'lookalike' });
  mark.title = 'Another person, who was here first, has a name that looks the same.';
  return mark;
}
