// The chat: lines as they come, and the field to say something.

import { button, element, find, part } from './dom.js';
import { explain } from './words.js';

/** @import {ChatLine} from './messages.d.ts' */
/** @import {Room} from './room.js' */

const NEAR_END = 60;
const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });

export class ChatView {
  /** The newest line shown. */
  #last = -1;

  /**
   * @param {HTMLElement} root of the room's page
   * @param {Room} room
   */
  constructor(root, room) {
    this.#room = room;
    this.#list = part(root, 'chat');
    this.#input = find(root, '[data-testid="chat-input"]', HTMLTextAreaElement);
    this.#sendButton = button(root, 'chat-send');
    find(root, 'form.say', HTMLFormElement).addEventListener('submit', (event) => {
      event.preventDefault();
      void this.#send();
    });
    this.#input.addEventListener('keydown', (event) => {
      if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      void this.#send();
    });
  }
  #room;
  #list;
  #input;
  #sendButton;

  /** Another room, or a snapshot: show its chat from the start, without reading it all aloud. */
  reset() {
    this.#list.setAttribute('aria-live', 'off');
    this.#list.replaceChildren();
    this.#last = -1;
    this.update();
    const limit = this.#room.connection.welcome?.limits.chatText;
    if (limit) this.#input.maxLength = limit;
    requestAnimationFrame(() => this.#list.setAttribute('aria-live', 'polite'));
  }

  /** @returns {number} how many lines are new */
  update() {
    const lines = this.#room.state?.chat.filter((line) => line.seq > this.#last) ?? [];
    if (lines.length === 0) return 0;
    const { scrollTop, scrollHeight, clientHeight } = this.#list;
    const follow = scrollHeight - scrollTop - clientHeight < NEAR_END;
    this.#list.append(...lines.map((line) => this.#line(line)));
    this.#last = lines.at(-1)?.seq ?? this.#last;
    if (follow) this.scrollToEnd();
    return lines.length;
  }

  scrollToEnd() {
    this.#list.scrollTop = this.#list.scrollHeight;
  }

  /** @param {ChatLine} line */
  #line({ seq, participant, name, text, at }) {
    const when = new Date(at);
    const time = /** @type {HTMLTimeElement} */ (element('time', { text: clock.format(when) }));
    time.dateTime = when.toISOString();
    const line = element(
      'li',
      { class: 'chat-line', testid: 'chat-line' },
      element('span', { class: 'chat-name', text: name }),
      time,
      element('p', { class: 'chat-text', text }),
    );
    line.dataset['seq'] = String(seq);
    line.classList.toggle('mine', participant === this.#room.state?.you);
    return line;
  }

  async #send() {
    const text = this.#input.value.trim();
    if (text === '' || this.#sendButton.disabled) return;
    this.#sendButton.disabled = true;
    try {
      await this.#room.say(text);
      // What was typed meanwhile stays.
      if (this.#input.value.trim() === text) this.#input.value = '';
    } catch (error) {
      this.#room.emit('notice', { text: `Your message was not sent. ${explain(error)}`, kind: 'error' });
    } finally {
      this.#sendButton.disabled = false;
    }
  }
}
