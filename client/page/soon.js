// Work that has to measure the page is put off until the page is about to be painted, and then done once, however often
// it was asked for: each look at a size makes the browser lay out the whole page at once. A page that is not painted,
// because its tab is hidden, does it a moment later.

/** Milliseconds after which it is done in a page that is not painted. */
const UNPAINTED = 100;

export class Soon {
  /** @type {number | null} */
  #frame = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /** @param {() => void} run */
  constructor(run) {
    this.#run = run;
  }
  #run;

  /** It is to be done. */
  ask() {
    if (this.#frame !== null) return;
    const run = () => {
      this.cancel();
      this.#run();
    };
    this.#frame = requestAnimationFrame(run);
    this.#timer = setTimeout(run, UNPAINTED);
  }

  cancel() {
    if (this.#frame !== null) cancelAnimationFrame(this.#frame);
    clearTimeout(this.#timer);
    this.#frame = null;
  }
}
