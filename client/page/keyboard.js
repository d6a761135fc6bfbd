// Keeps what lies at the bottom of the page above the on-screen keyboard. Android makes the page lower by itself
// (`interactive-widget` in index.html); iOS lays the keyboard over it, and only the visual viewport tells.

/**
 * @param {number} pageHeight of the layout viewport, in pixels
 * @param {{ height: number, offsetTop: number, scale: number }} visible the visual viewport
 * @returns {number} the pixels at the bottom of the page that are covered
 */
export function coveredBelow(pageHeight, { height, offsetTop, scale }) {
  // A page that the user has enlarged is seen in part, and nothing covers it.
  if (scale > 1.01) return 0;
  const covered = Math.round(pageHeight - height - offsetTop);
  // The bar of an iPhone's browser comes and goes, and is no keyboard.
  return covered > 100 ? covered : 0;
}

/**
 * Tell the style sheets how much is covered, as `--keyboard`.
 * @returns {() => void} ends it
 */
export function followKeyboard() {
  const viewport = globalThis.visualViewport;
  const root = document.documentElement;
  if (!viewport) return () => undefined;
  const ended = new AbortController();
  const measure = () =>
    root.style.setProperty('--keyboard', `${coveredBelow(root.clientHeight, viewport)}px`);
  for (const event of ['resize', 'scroll']) viewport.addEventListener(event, measure, { signal: ended.signal });
  measure();
  return () => {
    ended.abort();
    root.style.removeProperty('--keyboard');
  };
}
