// The chat: its lines with what may be done with each, and the field to write a line, to everybody or to one person.

import { keyOf } from '../room/state.js';
import { button, element, find, icon, part, setText, updateList } from './dom.js';
import { FollowEnd } from './follow-end.js';
import { splitLinks } from './links.js';
import { lookalikeMark } from './lookalike.js';

/** @import {ChatLine} from '../wire/messages.d.ts' */
/** @import {Room} from '../room/room.js' */
/** @import {Notices} from './notices.js' */

/** So many characters of a line are quoted where it is answered. */
const QUOTED = 120;

/**
 * What the line that is being written is about: the person to whom it is said in private, or the line that it answers.
 * @typedef {{ to?: string, replyTo?: number }} About
 */

const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });

export class ChatView {
  /** The lines that are shown. @type {Set<string>} */
  #shown = new Set();
  /** @type {About} */
  #about = {};

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
    this.#aboutBar = part(root, 'chat-about');
    this.#aboutWords = part(root, 'chat-about-words');
    button(root, 'chat-about-cancel').addEventListener('click', () => this.#writeAbout({}));
    find(root, 'form.say', HTMLFormElement).addEventListener('submit', (event) => {
      event.preventDefault();
      void this.#send();
    });
    this.#input.addEventListener('keydown', (event) => {
      if (event.key === 'Escape') this.#writeAbout({});
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
  #aboutBar;
  #aboutWords;

  /** Show the chat of another room or a snapshot from the start, without reading all of it aloud. */
  reset() {
    this.#list.setAttribute('aria-live', 'off');
    this.#list.replaceChildren();
    this.#shown.clear();
    this.update();
    if (this.#isGone(this.#about)) this.#writeAbout({});
    this.scrollToEnd();
    requestAnimationFrame(() => this.#list.setAttribute('aria-live', 'polite'));
  }

  /** @returns {number} how many lines are new */
  update() {
    const lines = this.#room.state?.chat ?? [];
    const shown = new Set(lines.map(keyOf));
    const added = lines.filter((line) => !this.#shown.has(keyOf(line)));
    const removed = [...this.#shown].some((key) => !shown.has(key));
    if (added.length === 0 && !removed) return 0;
    this.#shown = shown;
    updateList(
      this.#list,
      lines,
      keyOf,
      (line) => this.#line(line),
      // What was deleted is not quoted any more, either.
      (entry, line) => removed && line.replyTo !== undefined && this.#quote(entry, line.replyTo),
    );
    if (removed && this.#isGone(this.#about)) this.#writeAbout({});
    if (added.some((line) => line.participant === this.#room.state?.you)) this.scrollToEnd();
    else this.#follow.grown();
    return added.length;
  }

  /**
   * Begin a private line to somebody.
   * @param {string} to
   */
  writeTo(to) {
    this.#writeAbout({ to });
  }

  /** What moderators may do with a line depends on who is one. */
  showPermissions() {
    this.#list.classList.toggle('moderated', this.#room.moderates);
  }

  scrollToEnd() {
    this.#follow.toEnd();
  }

  destroy() {
    this.#follow.destroy();
  }

  /** @param {ChatLine} line */
  #line({ seq, participant, name, text, at, to, replyTo }) {
    const mine = participant === this.#room.state?.you;
    const when = new Date(at);
    const time = /** @type {HTMLTimeElement} */ (element('time', { text: clock.format(when) }));
    time.dateTime = when.toISOString();
    const line = element(
      'li',
      { class: 'chat-line', testid: 'chat-line' },
      element('span', { class: 'chat-name', text: name }),
      ...(this.#room.state?.participants.get(participant)?.lookalike ? [lookalikeMark()] : []),
      ...(to === undefined ? [] : [this.#privateMark(to)]),
      time,
      this.#tools(seq, participant, name, to),
      ...(replyTo === undefined ? [] : [element('p', { class: 'chat-quote', testid: 'chat-quote' })]),
      element('p', { class: 'chat-text' }, ...splitLinks(text).map(shown)),
    );
    line.dataset['seq'] = String(seq);
    line.classList.toggle('mine', mine);
    line.classList.toggle('private', to !== undefined);
    if (replyTo !== undefined) this.#quote(line, replyTo);
    return line;
  }

  /** @param {string} to */
  #privateMark(to) {
    const { state } = this.#room;
    const text = to === state?.you ? 'only to you' : `only to ${state?.nameOf(to) ?? ''}`;
    return element('span', { class: 'badge', testid: 'chat-private', text });
  }

  /**
   * Show what a line answers.
   * @param {HTMLElement} line
   * @param {number} seq
   */
  #quote(line, seq) {
    const quote = line.querySelector('.chat-quote');
    if (quote) setText(quote, this.#quotation(seq));
  }

  /** @param {number} seq */
  #quotation(seq) {
    const line = this.#lineOf(seq);
    if (!line) return 'A line that is not here any more';
    const text = line.text.length > QUOTED ? `${line.text.slice(0, QUOTED)}…` : line.text;
    return `${line.name}: ${text}`;
  }

  /** @param {number} seq */
  #lineOf(seq) {
    return this.#room.state?.chat.find((line) => line.seq === seq && line.to === undefined);
  }

  /**
   * What may be done with a line.
   * @param {number} seq
   * @param {string} participant
   * @param {string} name
   * @param {string | undefined} to
   */
  #tools(seq, participant, name, to) {
    const mine = participant === this.#room.state?.you;
    const answer = element('button', { class: 'tool', testid: 'chat-reply' }, icon('reply'));
    answer.title = to === undefined ? `Answer ${name}` : 'Answer in private';
    answer.setAttribute('aria-label', answer.title);
    answer.addEventListener('click', () =>
      this.#writeAbout(to === undefined ? { replyTo: seq } : { to: mine ? to : participant }),
    );
    if (to !== undefined) return element('span', { class: 'chat-tools' }, answer);
    const remove = element('button', { class: 'tool', testid: 'chat-delete' }, icon('close'));
    remove.title = mine ? 'Delete your line' : `Delete the line of ${name}`;
    remove.setAttribute('aria-label', remove.title);
    // A moderator may delete every line, see `moderated` in room.css.
    remove.classList.toggle('for-moderators', !mine);
    remove.addEventListener('click', () => void this.#delete(seq));
    return element('span', { class: 'chat-tools' }, answer, remove);
  }

  /** @param {number} line */
  async #delete(line) {
    try {
      await this.#room.moderate({ type: 'deleteLine', line });
      this.#notices.takeBack('chat');
    } catch (error) {
      this.#notices.showFailure('The line was not deleted.', error, 'chat');
    }
  }

  /** @param {About} about */
  #writeAbout(about) {
    this.#about = about;
    const { to, replyTo } = about;
    this.#aboutBar.hidden = to === undefined && replyTo === undefined;
    this.#aboutBar.dataset['private'] = String(to !== undefined);
    if (to !== undefined) setText(this.#aboutWords, `Only to ${this.#room.state?.nameOf(to) ?? ''}`);
    else if (replyTo !== undefined) setText(this.#aboutWords, `Answer to ${this.#quotation(replyTo)}`);
    this.#input.placeholder = to === undefined ? 'Message to the room' : 'Private message';
    if (!this.#aboutBar.hidden) this.#input.focus();
  }

  /** @param {About} about */
  #isGone({ to, replyTo }) {
    if (to !== undefined) return !this.#room.state?.participants.has(to);
    return replyTo !== undefined && !this.#lineOf(replyTo);
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
    const about = this.#about;
    try {
      await this.#room.say(text, about);
      this.#notices.takeBack('chat');
      if (this.#about === about) this.#writeAbout({});
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
