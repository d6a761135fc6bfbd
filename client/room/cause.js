// Finds out why there is no websocket to the server, which a browser does not tell a page. A plain request to the
// websocket's address is answered as the handshake would be, and `/health/live` says whether it is the server that
// answers, or a proxy in front of it.

/**
 * `offline`: the device has no network. `unreachable`: nothing answers. `away`: a proxy answers, but not the server.
 * `origin`: pages of this address may not connect. `full`: the server has no place left. `noUpgrade`: the server would
 * take the websocket, but something between does not let it through.
 * @typedef {'offline' | 'unreachable' | 'away' | 'origin' | 'full' | 'noUpgrade'} Cause
 */

/** Nobody waits longer for an answer than so many milliseconds. */
const WITHIN = 5_000;
/** What the server answers instead of a handshake, by the status. @type {Record<number, Cause>} */
const ANSWERS = { 403: 'origin', 503: 'full', 426: 'noUpgrade' };

/**
 * @param {string} base the address of the server, without a slash at its end
 * @param {{ fetch?: typeof globalThis.fetch, online?: boolean }} [browser]
 * @returns {Promise<Cause>}
 */
export async function findCause(base, { fetch = globalThis.fetch, online = globalThis.navigator?.onLine ?? true } = {}) {
  if (!online) return 'offline';
  const signal = AbortSignal.timeout(WITHIN);
  try {
    // Browsers send the page's origin with a POST, and not with a GET.
    const [handshake, live] = await Promise.all([
      fetch(`${base}/ws`, { method: 'POST', cache: 'no-store', signal }),
      fetch(`${base}/health/live`, { cache: 'no-store', signal }),
    ]);
    // A proxy may answer in the server's place, with a page of its own.
    const own = await live.json().then(
      (body) => typeof body?.live === 'boolean',
      () => false,
    );
    return own ? (ANSWERS[handshake.status] ?? 'noUpgrade') : 'away';
  } catch (error) {
    console.debug('no answer', error);
    return 'unreachable';
  }
}
