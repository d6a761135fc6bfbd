// The view of one line of the chat. It shows the speaker, the time, and the text with its links, and has the buttons to
// answer and to delete the line.

import { fileOf } from './chat-file.js';
import { isLong } from './chat-lines.js';
import { bdi, element, icon, name, setText } from './dom.js';
import { splitLinks } from './links.js';
import { lookalikeMark } from './lookalike.js';
import { say, sayDate } from './say.js';

/** @import {ChatLine} from '../wire/messages.d.ts' */

/**
 * `privately`: to whom alone it is said, in words; empty if to everybody. `before`: nothing can be done with it any
 * more.
 * @typedef {{
 *   mine: boolean,
 *   before: boolean,
 *   lookalike: boolean,
 *   privately: string,
 *   reply: () => void,
 *   write: () => void,
 *   remove: () => void,
 * }} LineContext
 */

/** @type {Intl.DateTimeFormatOptions} */
const CLOCK = { hour: '2-digit', minute: '2-digit' };
/** @type {Intl.DateTimeFormatOptions} */
const FULL = { dateStyle: 'medium', timeStyle: 'medium' };

export class ChatLineView {
  /**
   * @param {ChatLine} line
   * @param {LineContext} context
   */
  constructor(line, context) {
    const { text, at, seq, replyTo, file } = line;
    const when = new Date(at);
    const time = /** @type {HTMLTimeElement} */ (element('time', { text: sayDate(when, CLOCK) }));
    time.dateTime = when.toISOString();
    time.title = sayDate(when, FULL);
    const said = file ? fileOf(file, context.before) : element('p', { class: 'chat-text' }, ...splitLinks(text).map(shown));
    if (!file) said.dir = 'auto';
    this.root = element(
      'li',
      { class: 'chat-line', testid: 'chat-line' },
      element(
        'div',
        { class: 'chat-head' },
        bdi(line.name, { class: 'chat-name' }),
        ...(context.lookalike ? [lookalikeMark()] : []),
        ...(context.privately ? [element('span', { class: 'badge', testid: 'chat-private', text: context.privately })] : []),
        time,
      ),
      ...(context.before ? [] : [tools(line, context)]),
      ...(replyTo === undefined ? [] : [this.#quote]),
      said,
      ...(!file && isLong(text) ? [unfold(said)] : []),
    );
    this.root.dataset['seq'] = String(seq);
    this.root.classList.toggle('mine', context.mine);
    this.root.classList.toggle('private', context.privately !== '');
    this.root.classList.toggle('before', context.before);
  }
  #quote = element('p', { class: 'chat-quote', testid: 'chat-quote' });

  /** @param {string} text what it answers */
  quote(text) {
    setText(this.#quote, text);
  }
}

/**
 * What may be done with a line.
 * @param {ChatLine} line
 * @param {LineContext} context
 */
function tools({ to, name: speaker }, { mine, reply, write, remove }) {
  const answer = tool('chat-reply', 'reply', to === undefined ? say('chat.answer', { name: speaker }) : say('chat.answerInPrivate'), reply);
  if (to !== undefined) return element('span', { class: 'chat-tools' }, answer);
  const privately = tool('chat-write-to', 'line', say('people.writeTo', { name: speaker }), write);
  const gone = tool('chat-delete', 'close', mine ? say('chat.deleteOwn') : say('chat.delete', { name: speaker }), remove);
  // A moderator may delete every line, see `moderated` in chat.css.
  gone.classList.toggle('for-moderators', !mine);
  return element('span', { class: 'chat-tools' }, answer, ...(mine ? [] : [privately]), gone);
}

/**
 * @param {string} testid
 * @param {string} sign
 * @param {string} text
 * @param {() => void} does
 */
function tool(testid, sign, text, does) {
  const made = element('button', { class: 'tool', testid }, icon(sign));
  name(made, text);
  made.addEventListener('click', does);
  return made;
}

/**
 * The button that shows all of a long text, and folds it again.
 * @param {HTMLElement} text
 */
function unfold(text) {
  const made = element('button', { class: 'chat-unfold', testid: 'chat-unfold', text: say('chat.showAll') });
  text.classList.add('folded');
  made.setAttribute('aria-expanded', 'false');
  made.addEventListener('click', () => {
    const folded = text.classList.toggle('folded');
    made.setAttribute('aria-expanded', String(!folded));
    setText(made, folded ? say('chat.showAll') : say('chat.showLess'));
    if (folded) text.scrollIntoView({ block: 'nearest' });
  });
  return made;
}

/** @param {import('./links.js').Piece} piece */
function shown({ text, href }) {
  if (href === undefined) return text;
  const link = /** @type {HTMLAnchorElement} */ (element('a', { text }));
  link.href = href;
  link.dir = 'ltr';
  link.target = '_blank';
  link.rel = 'noopener noreferrer';
  return link;
}
