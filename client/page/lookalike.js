// The mark for a name that looks like the name of somebody who took it earlier in this room.

import { element } from './dom.js';
import { say } from './say.js';

/** @returns {HTMLElement} */
export function lookalikeMark() {
  const mark = element('span', { class: 'badge', text: say('people.sameName'), testid: 'lookalike' });
  mark.title = say('people.sameNameHint');
  return mark;
}
