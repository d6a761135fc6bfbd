// Plays the sound of others as soon as the browser allows it, as loud as the user wants each. Until the user does
// something on the page, pictures may only play muted.

/** @import {Loudness} from './choices.js' */

import { playThere } from './loudspeaker.js';

/** The events by which a user activates the page (HTML, "user activation"), so that sound is allowed. */
const ACTIVATING = ['pointerup', 'keydown'];
/**
 * Milliseconds until the result is shown. The click to which an event belongs comes after it, and the layout must
 * not change before that.
 */
const SHOWN_AFTER = 300;

export class Sound {
  /** Whether the browser refuses sound until the user does something on the page. */
  refused = false;
  /** Somebody else's videos, and whether the user has muted each. @type {Map<HTMLVideoElement, boolean>} */
  #videos = new Map();
  /** Whether it is being tried whether sound is allowed by now. */
  #trying = false;
  #ended = new AbortController();

  /** @param {() => void} changed called when `refused` has changed */
  constructor(changed) {
    this.#changed = changed;
    for (const event of ACTIVATING) {
      document.addEventListener(event, () => this.turnOn(), { capture: true, signal: this.#ended.signal });
    }
  }
  #changed;

  /**
   * @param {HTMLVideoElement} video somebody else's
   * @param {Loudness} loudness
   */
  set(video, { volume, muted }) {
    this.#videos.set(video, muted);
    playThere(video);
    video.muted = (this.refused && !this.#trying) || muted;
    video.volume = volume;
  }

  /** @param {HTMLVideoElement} video */
  remove(video) {
    this.#videos.delete(video);
  }

  /**
   * Play a video, and mute it if sound is refused.
   * @param {HTMLVideoElement} video
   */
  async play(video) {
    try {
      await video.play();
    } catch (error) {
      if (!(error instanceof DOMException)) throw error;
      if (error.name === 'NotAllowedError' && !video.muted) {
        video.muted = true;
        this.#set(true);
        await this.play(video);
      } else {
        // A newer stream has replaced this one in the player, or the tile is gone.
        console.debug('not played', error);
      }
    }
  }

  /** Try again with sound. If the browser refuses it again, the videos continue without sound. */
  turnOn() {
    if (!this.refused) return;
    this.#trying = true;
    for (const [video, muted] of this.#videos) {
      video.muted = muted;
      void this.play(video);
    }
    setTimeout(() => {
      this.#trying = false;
      this.#set([...this.#videos].some(([video, muted]) => video.muted && !muted));
    }, SHOWN_AFTER);
  }

  destroy() {
    this.#ended.abort();
  }

  /** @param {boolean} refused */
  #set(refused) {
    if (this.refused === refused || this.#ended.signal.aborted) return;
    this.refused = refused;
    this.#changed();
  }
}
