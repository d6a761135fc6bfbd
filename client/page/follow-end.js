// A list that scrolls, kept at its end while its reader is there.

/** Pixels from the end within which the reader is at the end. */
const NEAR_END = 40;

export class FollowEnd {
  #atEnd = true;

  /** @param {HTMLElement} list */
  constructor(list) {
    this.#list = list;
    this.#size = sizeOf(list);
    list.addEventListener('scroll', () => {
      // A list of another size was scrolled by its layout, not by the reader.
      if (sizeOf(list) === this.#size) this.#look();
    });
    this.#sizes = new ResizeObserver(() => {
      this.#size = sizeOf(list);
      if (this.#atEnd) this.toEnd();
      else this.#look();
    });
    this.#sizes.observe(list);
  }
  #list;
  #size;
  #sizes;

  toEnd() {
    this.#atEnd = true;
    this.#list.scrollTop = this.#list.scrollHeight;
  }

  /** More has come: show it to a reader who was at the end. */
  grown() {
    if (this.#atEnd) this.toEnd();
  }

  destroy() {
    this.#sizes.disconnect();
  }

  #look() {
    const { scrollTop, scrollHeight, clientHeight } = this.#list;
    // Hidden, it has no place.
    if (clientHeight > 0) this.#atEnd = scrollHeight - scrollTop - clientHeight < NEAR_END;
  }
}

/** @param {HTMLElement} list */
function sizeOf(list) {
  return `${list.clientWidth}×${list.clientHeight}`;
}
