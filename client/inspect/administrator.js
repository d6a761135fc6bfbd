// What an administrator can do to the room that is inspected, by the server's admin API (docs/api.md). The API asks
// for a token of its own, which is kept for as long as this tab is open.

import { BASE } from '../wire/base.js';
import { button, find, part, setText } from '../page/dom.js';

const API = `${BASE}/api/v1`;
const KEPT = 'roomfsm-admin-token';
const REASON = 'An administrator has closed the room.';

export class Administrator {
  #token = sessionStorage.getItem(KEPT) ?? '';

  /**
   * @param {HTMLElement} root with the part `administer` and what is in it
   * @param {string} room
   */
  constructor(root, room) {
    this.#root = root;
    this.#room = `/rooms/${encodeURIComponent(room)}`;
    find(part(root, 'token-form'), 'form', HTMLFormElement).addEventListener('submit', (event) => {
      event.preventDefault();
      this.#token = find(root, '[data-testid="admin-token"]', HTMLInputElement).value.trim();
      void this.#enter();
    });
    button(root, 'close-room').addEventListener('click', () => {
      if (confirm('Close the room? Everybody in it is put out.'))
        void this.#do('POST', `${this.#room}/close`, 'The room closes.', { reason: REASON });
    });
    button(root, 'lock-room').addEventListener('click', () => void this.#lock(true));
    button(root, 'unlock-room').addEventListener('click', () => void this.#lock(false));
    button(root, 'forget-token').addEventListener('click', () => {
      this.#forget();
      this.#say('');
    });
    void this.#begin();
  }
  #root;
  #room;

  /**
   * Put a person out of the room.
   * @param {string} id
   * @param {string} name
   */
  kick(id, name) {
    void this.#do('POST', `${this.#room}/people/${encodeURIComponent(id)}/kick`, `${name} is put out.`);
  }

  async #begin() {
    // Without a token in its settings the server has no such API.
    const { api } = await fetch(`${BASE}/inspect/api/access`).then((answer) => answer.json());
    part(this.#root, 'administer').hidden = api !== true;
    if (api === true && this.#token !== '') await this.#enter();
  }

  async #enter() {
    const answer = await this.#ask('GET', '/server').catch(() => null);
    if (answer?.ok) {
      sessionStorage.setItem(KEPT, this.#token);
      this.#show(true);
      this.#say('');
      return;
    }
    this.#forget();
    this.#say(answer === null ? 'The server does not answer.' : await words(answer));
  }

  #forget() {
    this.#token = '';
    sessionStorage.removeItem(KEPT);
    this.#show(false);
  }

  /** @param {boolean} locked */
  #lock(locked) {
    const done = locked ? 'The room is locked: only moderators may enter.' : 'People may enter the room.';
    return this.#do('PUT', `${this.#room}/lock`, done, { locked });
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {string} done the words for when it was done
   * @param {object} [body]
   */
  async #do(method, path, done, body) {
    try {
      const answer = await this.#ask(method, path, body);
      this.#say(answer.ok ? done : await words(answer));
    } catch {
      this.#say('The server does not answer.');
    }
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {object} [body]
   */
  #ask(method, path, body) {
    /** @type {Record<string, string>} */
    const headers = { Authorization: `Bearer ${this.#token}` };
    /** @type {RequestInit} */
    const request = { method, headers };
    if (body !== undefined) {
      headers['Content-Type'] = 'application/json';
      request.body = JSON.stringify(body);
    }
    return fetch(API + path, request);
  }

  /** @param {boolean} entered */
  #show(entered) {
    this.#root.dataset['administers'] = String(entered);
    part(this.#root, 'token-form').hidden = entered;
    part(this.#root, 'actions').hidden = !entered;
    find(this.#root, '[data-testid="admin-token"]', HTMLInputElement).value = '';
  }

  /** @param {string} text */
  #say(text) {
    setText(part(this.#root, 'answer'), text);
  }
}

/**
 * Why the API refused, in the words of its problem details.
 * @param {Response} answer
 * @returns {Promise<string>}
 */
async function words(answer) {
  const problem = await answer.json().catch(() => null);
  return typeof problem?.detail === 'string' ? problem.detail : `The server answered ${answer.status}.`;
}
