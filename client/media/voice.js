// Finds out whether the user speaks, from the sound of the microphone. Nothing of the sound leaves the page by this.

import { Level } from './level.js';

/** The level above which the sound counts as speech: about -45 dB below the loudest sound there is. */
const LOUD = 0.006;
/** So many milliseconds of silence are a pause between words, and not yet the end of the speech. */
const PAUSE = 900;

export class Voice {
  /** Whether the user speaks. */
  speaks = false;
  #loudAt = -Infinity;

  /**
   * @param {MediaStreamTrack} track of the microphone
   * @param {() => void} changed called when `speaks` has changed
   */
  constructor(track, changed) {
    this.#changed = changed;
    this.#level = new Level(track, (level) => this.#look(level, Date.now()));
  }
  #changed;
  #level;

  /** End it, and be silent. */
  close() {
    this.#level.close();
    this.#say(false);
  }

  /**
   * @param {number} level the root mean square of the samples, which are from -1 to 1
   * @param {number} now in milliseconds
   */
  #look(level, now) {
    if (level > LOUD) this.#loudAt = now;
    this.#say(now - this.#loudAt < PAUSE);
  }

  /** @param {boolean} speaks */
  #say(speaks) {
    if (this.speaks === speaks) return;
    this.speaks = speaks;
    this.#changed();
  }
}
