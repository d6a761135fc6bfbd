// A list that scrolls with new items while its reader is at its end.

/** A reader counts as being at the end within so many pixels of it. */
const NEAR_END = 40;

export class FollowEnd {
  #atEnd = true;

  /**
   * @param {HTMLElement} list
   * @param {() => void} [moved] the reader may have come to the end, or may see the list again
   */
  constructor(list, moved = () => {}) {
    this.#list = list;
    this.#moved = moved;
    this.#size = sizeOf(list);
    list.addEventListener('scroll', () => {
      // If the size of the list changed, the layout scrolled it, and not the reader.
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
  #moved;
  #size;
  #sizes;

  /** Whether the list is seen, and its end is. */
  get atEnd() {
    return this.#atEnd && this.#list.clientHeight > 0;
  }

  toEnd() {
    this.#atEnd = true;
    this.#list.scrollTop = this.#list.scrollHeight;
    this.#moved();
  }

  /** Show new items to a reader who was at the end. */
  grown() {
    if (this.#atEnd) this.toEnd();
  }

  destroy() {
    this.#sizes.disconnect();
  }

  #look() {
    const { scrollTop, scrollHeight, clientHeight } = this.#list;
    // A hidden list has no scroll position.
    if (clientHeight > 0) this.#atEnd = scrollHeight - scrollTop - clientHeight < NEAR_END;
    this.#moved();
  }
}

/** @param {HTMLElement} list */
function sizeOf(list) {
  return `${list.clientWidth}×${list.clientHeight}`;
}
