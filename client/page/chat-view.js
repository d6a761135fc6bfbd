// The chat: its lines, what is new among them, and the field to write a line, to everybody or to one person.

import { keyOf } from '../room/state.js';
import { arrange } from './chat-lines.js';
import { ChatLineView } from './chat-line.js';
import { button, element, find, part, setText, updateList } from './dom.js';
import { FollowEnd } from './follow-end.js';
import { say, sayDate } from './say.js';
import { calledOr } from './words.js';

/** @import {Room} from '../room/room.js' */
/** @import {Notices} from './notices.js' */

/** So many characters of a line are quoted where it is answered. */
const QUOTED = 120;

/**
 * What the line that is being written is about: the person to whom it is said in private, or the line that it answers.
 * @typedef {{ to?: string, replyTo?: number }} About
 */

export class ChatView {
  /** The keys of the lines that are shown. @type {Set<string>} */
  #shown = new Set();
  /** The views of the lines. @type {WeakMap<Element, ChatLineView>} */
  #lines = new WeakMap();
  /** @type {About} */
  #about = {};
  /** The room whose lines are shown. */
  #key = '';
  /** How many lines of others have not been seen, and the key of the first of them. */
  #unseen = 0;
  /** @type {string | null} */
  #firstNew = null;
  #sending = false;
  #ended = new AbortController();

  /**
   * @param {HTMLElement} root of the room's page
   * @param {Room} room
   * @param {Notices} notices
   * @param {(count: number) => void} onUnseen how many lines have not been seen
   */
  constructor(root, room, notices, onUnseen) {
    this.#room = room;
    this.#notices = notices;
    this.#onUnseen = onUnseen;
    this.#log = part(root, 'chat');
    this.#list = part(root, 'chat-lines');
    this.#follow = new FollowEnd(this.#log, () => this.#look());
    this.#input = find(root, '[data-testid="chat-input"]', HTMLTextAreaElement);
    this.#jump = button(root, 'chat-new');
    this.#jump.addEventListener('click', () => this.#toFirstNew());
    this.#aboutBar = part(root, 'chat-about');
    this.#aboutWords = part(root, 'chat-about-words');
    button(root, 'chat-about-cancel').addEventListener('click', () => {
      this.#writeAbout({});
      this.#input.focus();
    });
    find(root, 'form.say', HTMLFormElement).addEventListener('submit', (event) => {
      event.preventDefault();
      // Who has pressed the button goes on writing.
      this.#input.focus();
      void this.#send();
    });
    this.#input.addEventListener('keydown', (event) => {
      if (event.key === 'Escape') this.#writeAbout({});
      if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      void this.#send();
    });
    this.#attach = button(root, 'chat-attach');
    const chooser = find(root, '[data-part="chat-files"]', HTMLInputElement);
    this.#attach.addEventListener('click', () => chooser.click());
    chooser.addEventListener('change', () => {
      void this.sendFiles([...(chooser.files ?? [])]);
      // The same file can be chosen again.
      chooser.value = '';
    });
    this.#input.addEventListener('paste', (event) => {
      const files = [...(event.clipboardData?.files ?? [])];
      // A text that was copied with a picture of itself, as office programs do, stays a text.
      if (files.length === 0 || event.clipboardData?.types.includes('text/plain')) return;
      event.preventDefault();
      void this.sendFiles(files);
    });
    this.#sendingList = part(root, 'chat-sending');
    document.addEventListener('visibilitychange', () => this.#look(), { signal: this.#ended.signal });
  }
  #room;
  #notices;
  #onUnseen;
  #log;
  #list;
  #follow;
  #input;
  #jump;
  #aboutBar;
  #aboutWords;
  #attach;
  #sendingList;
  /** @type {Promise<import('./sending-view.js').SendingView> | null} */
  #sendingView = null;

  /** The room was entered, or entered again. The lines that it brings are not read aloud as if they were said now. */
  reset() {
    const key = this.#room.state?.key ?? '';
    this.#log.setAttribute('aria-live', 'off');
    requestAnimationFrame(() => this.#log.setAttribute('aria-live', 'polite'));
    if (key === this.#key) {
      this.update();
      if (this.#isGone(this.#about)) this.#writeAbout({});
      return;
    }
    this.#key = key;
    this.#list.replaceChildren();
    this.#shown = new Set(this.#room.state?.chat.map(keyOf) ?? []);
    this.#firstNew = null;
    this.#unseen = 0;
    this.#show(true);
    if (this.#isGone(this.#about)) this.#writeAbout({});
    this.scrollToEnd();
  }

  update() {
    const { state } = this.#room;
    const lines = state?.chat ?? [];
    const keys = new Set(lines.map(keyOf));
    const added = lines.filter((line) => !this.#shown.has(keyOf(line)));
    const removed = [...this.#shown].some((key) => !keys.has(key));
    if (added.length === 0 && !removed) return;
    this.#shown = keys;
    const own = added.some((line) => line.participant === state?.you);
    const others = added.filter((line) => line.participant !== state?.you);
    if (own) this.#firstNew = null;
    else if (others[0] && !this.#seen) {
      if (this.#unseen === 0) this.#firstNew = keyOf(others[0]);
      this.#unseen += others.length;
    }
    this.#show(removed);
    if (removed && this.#isGone(this.#about)) this.#writeAbout({});
    if (own) this.scrollToEnd();
    else this.#follow.grown();
    this.#showUnseen();
  }

  /**
   * Begin a private line to somebody.
   * @param {string} to
   */
  writeTo(to) {
    this.#writeAbout({ to });
  }

  /**
   * Send files to the chat, to whom the line that is being written goes.
   * @param {File[]} files
   */
  async sendFiles(files) {
    if (!this.#room.maySendFiles) {
      this.#notices.show({ text: say('refused.no_files'), kind: 'error', topic: 'file' });
      return;
    }
    const about = this.#about;
    this.#writeAbout({});
    this.#input.focus();
    this.#sendingView ??= import('./sending-view.js').then(
      ({ SendingView }) => new SendingView(this.#sendingList, this.#room, this.#notices),
    );
    (await this.#sendingView).send(files, about);
  }

  /** What moderators may do with a line depends on who is one, and what people may send on the room. */
  showPermissions() {
    this.#attach.hidden = !this.#room.maySendFiles;
    this.#log.classList.toggle('moderated', this.#room.moderates);
  }

  /** Put the focus where a line is written. */
  focus() {
    this.#input.focus();
  }

  /** What was written and not sent. */
  get draft() {
    return this.#input.value;
  }

  set draft(text) {
    this.#input.value = text;
  }

  scrollToEnd() {
    this.#follow.toEnd();
  }

  destroy() {
    this.#ended.abort();
    this.#follow.destroy();
  }

  /** @param {boolean} removed what was deleted is not quoted any more, either */
  #show(removed) {
    const { state } = this.#room;
    updateList(
      this.#list,
      arrange(state?.before ?? [], state?.chat ?? [], this.#firstNew),
      ({ key }) => key,
      (item) => ('divider' in item ? this.#divider(item) : this.#line(item)),
      (entry, item) => {
        if ('divider' in item) return;
        const view = this.#lines.get(entry);
        entry.classList.toggle('continued', item.continued);
        if (removed && item.line.replyTo !== undefined) view?.quote(this.#quotation(item.line.replyTo));
      },
    );
  }

  /** @param {Extract<import('./chat-lines.js').Item, { line: unknown }>} item */
  #line({ line, before }) {
    const { state } = this.#room;
    const { seq, participant, to } = line;
    const mine = participant === state?.you;
    const view = new ChatLineView(line, {
      mine,
      before,
      lookalike: state?.participants.get(participant)?.lookalike ?? false,
      privately: to === undefined ? '' : this.#privacy(to),
      reply: () => this.#writeAbout(to === undefined ? { replyTo: seq } : { to: mine ? to : participant }),
      write: () => this.#writeAbout({ to: participant }),
      remove: () => void this.#delete(seq),
    });
    if (line.replyTo !== undefined) view.quote(this.#quotation(line.replyTo));
    this.#lines.set(view.root, view);
    return view.root;
  }

  /** @param {string} to */
  #privacy(to) {
    const { state } = this.#room;
    return to === state?.you ? say('chat.onlyToYou') : say('chat.onlyTo', { name: this.#nameOf(to) });
  }

  /** @param {Extract<import('./chat-lines.js').Item, { divider: unknown }>} item */
  #divider({ divider, at }) {
    const text = { day: sayDate(at, { dateStyle: 'full' }), before: say('chat.before'), new: say('chat.newBegin') }[divider];
    const made = element('li', { class: 'chat-divider', testid: 'chat-divider' }, element('span', { text }));
    made.dataset['divider'] = divider;
    return made;
  }

  /** Whether whoever sits here sees the newest line. */
  get #seen() {
    return document.visibilityState !== 'hidden' && this.#follow.atEnd;
  }

  #look() {
    if (this.#seen) this.#unseen = 0;
    this.#showUnseen();
  }

  #showUnseen() {
    this.#jump.hidden = this.#unseen === 0 || this.#follow.atEnd;
    if (this.#unseen > 0) setText(find(this.#jump, 'span', HTMLElement), say('chat.new', { count: this.#unseen }));
    this.#onUnseen(this.#unseen);
  }

  #toFirstNew() {
    const divider = this.#list.querySelector('[data-divider="new"]');
    if (divider instanceof HTMLElement) this.#log.scrollTop = divider.offsetTop - this.#list.offsetTop;
    else this.scrollToEnd();
    this.#unseen = 0;
    this.#showUnseen();
    this.#log.focus({ preventScroll: true });
  }

  /** @param {number} seq */
  #quotation(seq) {
    const line = this.#lineOf(seq);
    if (!line) return say('chat.gone');
    const text = line.text.length > QUOTED ? `${line.text.slice(0, QUOTED)}…` : line.text;
    return say('chat.quotation', { name: line.name, text });
  }

  /** @param {string} participant */
  #nameOf(participant) {
    return calledOr(this.#room.state?.nameOf(participant) ?? '');
  }

  /** @param {number} seq */
  #lineOf(seq) {
    return this.#room.state?.chat.find((line) => line.seq === seq && line.to === undefined);
  }

  /** @param {number} line */
  async #delete(line) {
    try {
      await this.#room.moderate({ type: 'deleteLine', line });
      this.#notices.takeBack('chat');
    } catch (error) {
      this.#notices.showFailure(say('chat.notDeleted'), error, 'chat');
    }
  }

  /** @param {About} about */
  #writeAbout(about) {
    this.#about = about;
    const { to, replyTo } = about;
    this.#aboutBar.hidden = to === undefined && replyTo === undefined;
    this.#aboutBar.dataset['private'] = String(to !== undefined);
    if (to !== undefined) setText(this.#aboutWords, say('chat.onlyToName', { name: this.#nameOf(to) }));
    else if (replyTo !== undefined) setText(this.#aboutWords, say('chat.answerTo', { line: this.#quotation(replyTo) }));
    this.#input.placeholder = to === undefined ? say('chat.toRoom') : say('chat.toOne', { name: this.#nameOf(to) });
    if (!this.#aboutBar.hidden) this.#input.focus();
  }

  /** @param {About} about */
  #isGone({ to, replyTo }) {
    if (to !== undefined) return !this.#room.state?.participants.has(to);
    return replyTo !== undefined && !this.#lineOf(replyTo);
  }

  async #send() {
    const text = withoutControls(this.#input.value).trim();
    // The button is not disabled meanwhile, because it would lose the focus.
    if (text === '' || this.#sending) return;
    const most = this.#room.connection.welcome?.limits.chatText ?? Infinity;
    const length = [...text].length;
    if (length > most) {
      this.#notices.show({ text: say('chat.tooLong', { count: length, most }), kind: 'error', topic: 'chat' });
      return;
    }
    this.#sending = true;
    const about = this.#about;
    try {
      await this.#room.say(text, about);
      this.#notices.takeBack('chat');
      if (this.#about === about) this.#writeAbout({});
      // Text that was typed meanwhile stays.
      if (withoutControls(this.#input.value).trim() === text) this.#input.value = '';
    } catch (error) {
      this.#notices.showFailure(say('chat.notSent'), error, 'chat');
    } finally {
      this.#sending = false;
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
