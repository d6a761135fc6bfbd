// Opens the technical details. What they are made of is loaded only then (`import()`), because few people ever look.

import { say } from './say.js';

/** @import {Record} from '../room/record.js' */
/** @import {Room} from '../room/room.js' */
/** @import {Notices} from './notices.js' */

export class Details {
  /** Whether they are shown, or will be in a moment. */
  #open = false;
  #room;
  #record;
  #notices;

  /**
   * @param {Room} room
   * @param {Record} record
   * @param {Notices} notices
   */
  constructor(room, record, notices) {
    this.#room = room;
    this.#record = record;
    this.#notices = notices;
  }

  async show() {
    if (this.#open) return;
    this.#open = true;
    try {
      const { showDetails } = await import('./details-panel.js');
      await showDetails(this.#room, this.#record);
    } catch (error) {
      this.#notices.showFailure(say('details.notLoaded'), error, 'details');
    } finally {
      this.#open = false;
    }
  }
}
