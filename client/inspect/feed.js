// A feed of the inspector. Server-sent events are opened again automatically when they break off.

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
      // By itself, an EventSource does not reconnect after an answer other than 200.
      source.close();
      tries += 1;
      // This is done before the next attempt. Otherwise the text would stay after a success.
      tell(`${await why(url)} Trying again.`);
      setTimeout(open, backoff(tries));
    });
  }

  open();
}

/** Milliseconds that the server has to give its reason. */
const PATIENCE = 5000;

/**
 * The server's reason as a text, which an EventSource does not provide.
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
