// Small plots of the last minute: one line, drawn as SVG, without axes. Its numbers stand beside it.

const SVG = 'http://www.w3.org/2000/svg';
const [WIDTH, HEIGHT] = [60, 20];

/**
 * @param {readonly (number | null)[]} values one for each second, the newest last; null: not known
 * @param {number} [least] the value that at least fits into the height, so that a small change does not look large
 * @returns {string} the path (SVG 2 section 9.3), in a box of 60 × 20; a gap where nothing is known
 */
export function pathOf(values, least = 0) {
  const most = Math.max(least, ...values.map((value) => value ?? 0));
  const from = WIDTH - values.length;
  let drawn = false;
  return values
    .map((value, index) => {
      if (value === null) {
        drawn = false;
        return '';
      }
      const y = most > 0 ? HEIGHT - (value / most) * HEIGHT : HEIGHT;
      const step = `${drawn ? 'L' : 'M'}${from + index} ${y.toFixed(1)}`;
      drawn = true;
      return step;
    })
    .join('');
}

export class Plot {
  #line = document.createElementNS(SVG, 'path');
  #least;

  /** @param {number} least */
  constructor(least) {
    this.#least = least;
    const svg = document.createElementNS(SVG, 'svg');
    svg.classList.add('plot');
    svg.setAttribute('viewBox', `0 -1 ${WIDTH} ${HEIGHT + 2}`);
    svg.setAttribute('preserveAspectRatio', 'none');
    svg.setAttribute('aria-hidden', 'true');
    this.#line.setAttribute('vector-effect', 'non-scaling-stroke');
    svg.append(this.#line);
    this.root = svg;
  }

  /** @param {readonly (number | null)[]} values */
  show(values) {
    this.#line.setAttribute('d', pathOf(values, this.#least));
  }
}
