// Measures how loud a track is. Nothing of the sound leaves the page by this.

/** The milliseconds from one look at the sound to the next. */
const EVERY = 100;
const GESTURES = ['pointerup', 'keydown'];

export class Level {
  /**
   * @param {MediaStreamTrack} track of a microphone
   * @param {(level: number) => void} heard is called ten times a second with the root mean square of the samples,
   *   which are from -1 to 1
   */
  constructor(track, heard) {
    this.#context = new AudioContext();
    const analyser = this.#context.createAnalyser();
    // A clone would go on when the track is turned off.
    this.#context.createMediaStreamSource(new MediaStream([track])).connect(analyser);
    const samples = new Float32Array(analyser.fftSize);
    this.#timer = setInterval(() => {
      analyser.getFloatTimeDomainData(samples);
      heard(Math.sqrt(samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length));
    }, EVERY);
    for (const type of GESTURES) addEventListener(type, this.#wake);
  }
  #context;
  /** A browser may let no context run before the user has touched the page (after a reload, for example). */
  #wake = () => void this.#context.resume();
  #timer;

  close() {
    clearInterval(this.#timer);
    for (const type of GESTURES) removeEventListener(type, this.#wake);
    void this.#context.close();
  }
}

/** The quietest level that a meter shows, in decibels below the loudest sound there is. */
const QUIETEST = -60;

/**
 * @param {number} level root mean square, from 0 to 1
 * @returns {number} the same as people hear it, from 0 (silence) to 1: the part of the scale from -60 dB to 0 dB
 */
export function loudness(level) {
  if (level <= 0) return 0;
  const decibels = 20 * Math.log10(level);
  return Math.min(1, Math.max(0, 1 - decibels / QUIETEST));
}
