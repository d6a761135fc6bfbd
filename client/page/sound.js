// Others are heard as soon as the browser lets them be: until the user does something, pictures may play muted only.

/** By these events a user activates the page (HTML, "user activation"), so that sound is allowed. */
const ACTIVATING = ['pointerup', 'keydown'];
/**
 * Milliseconds until the outcome is shown: the click that an event is part of comes after it, and must find the
 * page laid out as it was.
 */
const SHOWN_AFTER = 300;

export class Sound {
  /** The browser refused sound until the user does something here. */
  refused = false;
  /** @type {Set<HTMLVideoElement>} */
  #videos = new Set();
  #ended = new AbortController();

  /** @param {() => void} changed `refused` is another */
  constructor(changed) {
    this.#changed = changed;
    for (const event of ACTIVATING) {
      document.addEventListener(event, () => this.turnOn(), { capture: true, signal: this.#ended.signal });
    }
  }
  #changed;

  /** @param {HTMLVideoElement} video somebody else's */
  add(video) {
    this.#videos.add(video);
    video.muted = this.refused;
  }

  /** @param {HTMLVideoElement} video */
  remove(video) {
    this.#videos.delete(video);
  }

  /**
   * Play it, muted where sound is refused.
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
        // A newer stream took this one's place in the player, or the tile is gone.
        console.debug('not played', error);
      }
    }
  }

  /** Try again with sound; where the browser refuses again, they play on muted. */
  turnOn() {
    if (!this.refused) return;
    for (const video of this.#videos) {
      video.muted = false;
      void this.play(video);
    }
    setTimeout(() => this.#set([...this.#videos].some((video) => video.muted)), SHOWN_AFTER);
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
