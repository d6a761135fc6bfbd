// Waiting times between attempts. They double up to a limit, and have jitter, so that clients do not all come back
// at once.

/**
 * @param {number} tries how many tries failed so far, 1 or more
 * @param {{first?: number, most?: number, random?: () => number}} [options] milliseconds; `random` gives [0, 1)
 * @returns {number} milliseconds to wait: between half of the doubled time and the whole of it
 */
export function backoff(tries, { first = 500, most = 10_000, random = Math.random } = {}) {
  const whole = Math.min(most, first * 2 ** Math.min(tries - 1, 30));
  return Math.round(whole * (0.5 + random() / 2));
}
