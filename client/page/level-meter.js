// Shows how loud a microphone is.

import { Level, loudness } from '../media/level.js';

export class LevelMeter {
  /** @type {{ track: MediaStreamTrack, level: Level } | null} */
  #heard = null;

  /** @param {HTMLElement} root which is hidden while there is nothing to hear */
  constructor(root) {
    this.#root = root;
  }
  #root;

  /** @param {MediaStreamTrack | null} track */
  listen(track) {
    this.#root.hidden = track === null;
    if ((this.#heard?.track ?? null) === track) return;
    this.close();
    if (track && typeof AudioContext !== 'undefined')
      this.#heard = { track, level: new Level(track, (level) => this.#show(loudness(level))) };
  }

  close() {
    this.#heard?.level.close();
    this.#heard = null;
  }

  /** @param {number} loud part of the scale */
  #show(loud) {
    this.#root.style.setProperty('--level', loud.toFixed(2));
    this.#root.setAttribute('aria-valuenow', String(Math.round(loud * 100)));
  }
}
