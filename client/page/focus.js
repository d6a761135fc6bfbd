// Keeps the focus on the page. If what has the focus is removed, hidden or disabled, a browser lets the focus fall to the
// page's beginning, and whoever uses the keyboard has to start from there. Then what is nearest to the lost place gets the
// focus. A view that knows a better place puts the focus there itself, and this does nothing.

import { Soon } from './soon.js';

const FOCUSABLE = 'button:not(:disabled), a[href], summary, [tabindex]:not([tabindex="-1"])';
/** Where there is nothing else to be focused, the head of the part is. */
const HEAD = 'h1[tabindex], h2[tabindex], [role="list"][tabindex], ul[tabindex]';

/**
 * @param {HTMLElement} root the page
 * @returns {() => void} ends it
 */
export function keepFocus(root) {
  /** What had the focus last, with the elements around it. @type {Element[]} */
  let way = [];
  const ended = new AbortController();
  root.addEventListener(
    'focusin',
    ({ target }) => {
      way = [];
      for (let at = target instanceof Element ? target : null; at && at !== root; at = at.parentElement) way.push(at);
    },
    { signal: ended.signal },
  );
  // Whoever clicks beside everything has put the focus nowhere.
  root.addEventListener('pointerdown', () => (way = []), { signal: ended.signal, capture: true });
  const looking = new Soon(() => {
    const [lost, ...around] = way;
    const now = document.activeElement;
    if (!lost || (now !== document.body && now !== lost && now !== null) || isUsable(lost)) return;
    for (const part of [...around.filter((element) => element.isConnected), root]) {
      const next = [...part.querySelectorAll(FOCUSABLE)].find(isUsable) ?? part.querySelector(HEAD);
      if (!(next instanceof HTMLElement) || !isUsable(next)) continue;
      next.focus({ preventScroll: true });
      return;
    }
  });
  const observer = new MutationObserver(() => looking.ask());
  observer.observe(root, { subtree: true, childList: true, attributes: true, attributeFilter: ['hidden', 'disabled'] });
  return () => {
    ended.abort();
    looking.cancel();
    observer.disconnect();
  };
}

/** @param {Element} element */
function isUsable(element) {
  return element.isConnected && element.getClientRects().length > 0 && !element.matches(':disabled');
}
