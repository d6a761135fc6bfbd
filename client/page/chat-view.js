// The chat: its lines, and the field to write a line.

import { button, element, find, part } from './dom.js';
import { FollowEnd } from './follow-end.js';
import { splitLinks } from './links.js';
import { lookalikeMark } from './lookalike.js';

/** @import {ChatLine} from '../wire/messages.d.ts' */
/** @import {Room} from '../room/room.js' */
/** @import {Notices} from './notices.js' */

const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });

export class ChatView {
  /** The number of the newest line that is shown. */
  #last = -1;

  /**
   * @param {HTMLElement} root of the room's page
   * @param {Room} room
   * @param {Notices} notices
   */
  constructor(root, room, notices) {
    this.#room = room;
    this.#notices = notices;
    this.#list = part(root, 'chat');
    this.#follow = new FollowEnd(this.#list);
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
  #notices;
  #list;
  #follow;
  #input;
  #sendButton;

  /** Show the chat of another room or a snapshot from the start, without reading all of it aloud. */
  reset() {
    this.#list.setAttribute('aria-live', 'off');
    this.#list.replaceChildren();
    this.#last = -1;
    this.update();
    this.scrollToEnd();
    requestAnimationFrame(() => this.#list.setAttribute('aria-live', 'polite'));
  }

  /** @returns {number} how many lines are new */
  update() {
    // A moderator has cleared the chat.
    if (this.#room.state?.chat.length === 0) this.#list.replaceChildren();
    const lines = this.#room.state?.chat.filter((line) => line.seq > this.#last) ?? [];
    if (lines.length === 0) return 0;
    this.#list.append(...lines.map((line) => this.#line(line)));
    this.#last = lines.at(-1)?.seq ?? this.#last;
    if (lines.some((line) => line.participant === this.#room.state?.you)) this.scrollToEnd();
    else this.#follow.grown();
    return lines.length;
  }

  scrollToEnd() {
    this.#follow.toEnd();
  }

  destroy() {
    this.#follow.destroy();
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
      ...(this.#room.state?.participants.get(participant)?.lookalike ? [lookalikeMark()] : []),
      time,
      element('p', { class: 'chat-text' }, ...splitLinks(text).map(shown)),
    );
    line.dataset['seq'] = String(seq);
    line.classList.toggle('mine', participant === this.#room.state?.you);
    return line;
  }

  async #send() {
    const text = withoutControls(this.#input.value).trim();
    if (text === '' || this.#sendButton.disabled) return;
    const most = this.#room.connection.welcome?.limits.chatText ?? Infinity;
    const length = [...text].length;
    if (length > most) {
      const told = `Your message has ${length} characters; at most ${most} can be sent at once.`;
      this.#notices.show({ text: told, kind: 'error', topic: 'chat' });
      return;
    }
    this.#sendButton.disabled = true;
    try {
      await this.#room.say(text);
      this.#notices.takeBack('chat');
      // Text that was typed meanwhile stays.
      if (withoutControls(this.#input.value).trim() === text) this.#input.value = '';
    } catch (error) {
      this.#notices.showFailure('Your message was not sent.', error, 'chat');
    } finally {
      this.#sendButton.disabled = false;
    }
  }
}

/**
 * Remove control characters, which pasted text may contain. Nobody could see them, and the server refuses them.
 *
 * @param {string} text
 */
function withoutControls(text) {
  return text.replace(/[^\P{Cc}\n\t]/gu, '');
}

/** @param {import('./links.js').Piece} piece */
function shown({ text, href }) {
  if (href === undefined) return text;
  const link = /** @type {HTMLAnchorElement} */ (element('a', { text }));
  link.href = href;
  link.target = '_blank';
  link.rel = 'noopener noreferrer';
  return link;
}
