// Says why the user is not in the room, for as long as that is so: which room it is, the reason, and what happens next.

import { CONNECTION } from './connection-table.js';
import { button, element, find, part, setText } from './dom.js';
import { say } from './say.js';
import { inWords } from './words.js';

/** @import {Absence} from '../room/absence.js' */
/** @import {Room} from '../room/room.js' */
/** @import {Situation} from './connection-table.js' */

export class SituationView {
  /**
   * @param {HTMLElement} root of the room's page
   * @param {Room} room
   * @param {Absence} absence
   * @param {() => void} leave
   */
  constructor(root, room, absence, leave) {
    this.#room = room;
    this.#absence = absence;
    this.#area = part(root, 'situation');
    this.#told = part(root, 'situation-told');
    this.#retry = button(root, 'retry-now');
    this.#retry.addEventListener('click', () => {
      if (room.mayTryAgain) room.tryAgain();
      else room.connection.retryNow();
    });
    button(root, 'situation-leave').addEventListener('click', leave);
    this.destroy = absence.on('change', () => this.update());
  }
  #room;
  #absence;
  #area;
  #told;
  #retry;

  update() {
    const { status, connection, mayTryAgain, wanted } = this.#room;
    const { [status]: found, else: otherwise } = CONNECTION[connection.state.phase];
    const { situation } = found ?? otherwise;
    const text = situation === undefined ? '' : this.#reason(situation, wanted);
    this.#area.hidden = text === '';
    this.#area.dataset['situation'] = situation ?? '';
    this.#area.dataset['explained'] = String(this.#absence.news !== null || this.#absence.cause !== null);
    this.#retry.hidden = !(mayTryAgain || connection.mayRetry);
    setText(this.#retry, say(mayTryAgain ? 'situation.again' : 'situation.retry'));
    if (situation === undefined || text === '') {
      this.#told.replaceChildren();
      return;
    }
    if (!this.#told.firstElementChild) this.#told.append(made());
    setText(find(this.#told, 'h2', HTMLElement), say(`situation.${situation}`, { room: wanted }));
    setText(find(this.#told, 'p', HTMLElement), text);
  }

  /**
   * @param {Situation} situation
   * @param {string} room
   * @returns {string} empty: there is nothing to tell
   */
  #reason(situation, room) {
    const { news, cause } = this.#absence;
    const known = news === null ? '' : inWords(news);
    /** @type {Record<Situation, () => string>} */
    const reasons = {
      // Why there is no connection is more to the point than why there was none before.
      connecting: () => (cause ? this.#caused(cause, room) : known || say('situation.connectingTo', { room })),
      lost: () => (cause ? this.#caused(cause, room) : known || say('situation.lostTo', { room })),
      entering: () => known || say('situation.enteringTo', { room }),
      knocking: () => known,
      out: () => known,
    };
    return reasons[situation]();
  }

  /**
   * @param {import('../room/cause.js').Cause} cause
   * @param {string} room
   */
  #caused(cause, room) {
    const reason = cause === 'origin' ? say('cause.origin', { origin: location.origin }) : say(`cause.${cause}`);
    return say('situation.caused', { room, reason });
  }
}

/** What is told is a notice that stays. */
function made() {
  return element(
    'div',
    { class: 'situation-words', testid: 'notice' },
    element('h2'),
    element('p'),
  );
}
