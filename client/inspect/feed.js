// A feed of the inspector: server-sent events, opened again by itself when it breaks off.

import { backoff } from '../wire/backoff.js';

/**
 * @template T
 * @param {string} url
 * @param {(update: T) => void} show
 * @param {(words: string) => void} tell how the connection is; empty while all is well
 * @returns {void}
 */
export function follow(url, show, tell) {
  let tries = 0;

  function open() {
    const source = new EventSource(url);
    tell('Connecting …');
    source.addEventListener('open', () => {
      tries = 0;
      tell('');
    });
    source.addEventListener('message', (event) => show(JSON.parse(event.data)));
    source.addEventListener('error', async () => {
      // Of its own accord it would not come back after an answer other than 200.
      source.close();
      tries += 1;
      // Before the next try, whose success these words would outlast.
      tell(`${await why(url)} Trying again.`);
      setTimeout(open, backoff(tries));
    });
  }

  open();
}

/** Milliseconds in which a server that is asked for its reason answers. */
const PATIENCE = 5000;

/**
 * The server's own words, which an EventSource does not tell.
 * @param {string} url
 * @returns {Promise<string>}
 */
async function why(url) {
  const asked = new AbortController();
  const patience = setTimeout(() => asked.abort(), PATIENCE);
  try {
    const response = await fetch(url, { signal: asked.signal, cache: 'no-store' });
    return response.ok ? 'The connection was lost.' : (await response.text()).trim();
  } catch {
    return 'The server does not answer.';
  } finally {
    clearTimeout(patience);
    asked.abort();
  }
}
