// Reactions: a button that shows one to everybody, and those that others show, which float over the stage for a
// moment. For whoever wants less motion they stand still. The user's hand is raised here, too: on a phone the list of
// people, whose button does it as well, is closed most of the time, and nothing else tells that the hand is up.

import { bdi, element, icon, name, part } from './dom.js';
import { Menu, opensMenu } from './menu.js';
import { say } from './say.js';
import { calledOr } from './words.js';

/** @import {Reaction, ReactionInfo} from '../wire/messages.d.ts' */
/** @import {Room} from '../room/room.js' */

/** How each reaction is drawn. @type {Record<Reaction, string>} */
const DRAWN = { thumbsUp: '👍', heart: '❤️', applause: '👏', laugh: '😂', surprise: '😮', party: '🎉' };
/** How a raised hand is drawn. */
const HAND = '✋';
/** A reaction that a newer server knows. */
const OTHER = '✨';
/** No more than these float at a time. */
const MOST = 24;
/** The milliseconds for which each of them is seen. */
const SEEN = 4_000;
/** So many names are read aloud; more would only be noise. */
const NAMED = 3;

export class ReactionsView {
  #timers = new Set();

  /**
   * @param {HTMLElement} root of the room's page
   * @param {Room} room
   * @param {() => void} turnHand raise the user's hand, or lower it
   */
  constructor(root, room, turnHand) {
    this.#room = room;
    this.#air = part(root, 'reactions');
    this.#told = part(root, 'reactions-told');
    const controls = part(root, 'controls');
    const react = element('button', { class: 'square', testid: 'react' }, icon('smile'));
    name(react, say('react'));
    opensMenu(react);
    controls.append(react);
    const menu = new Menu(controls, { across: true });
    react.addEventListener('click', () =>
      menu.open(
        react,
        say('react'),
        [
          .../** @type {Reaction[]} */ (Object.keys(DRAWN)).map((reaction) => ({
            id: `react-${reaction}`,
            text: DRAWN[reaction],
            label: say(`reaction.${reaction}`),
            run: () => room.react(reaction),
          })),
          {
            id: 'react-hand',
            text: HAND,
            label: say(this.#handIsUp ? 'people.lowerHand' : 'people.raiseHand'),
            run: turnHand,
          },
        ],
      ),
    );
    this.#button = react;
    this.#end = room.on('reacted', (reactions) => this.#show(reactions));
  }
  #room;
  #air;
  #told;
  #button;
  #end;

  get #handIsUp() {
    return this.#room.me?.hand !== undefined;
  }

  update() {
    /** @type {HTMLButtonElement} */ (this.#button).disabled = !this.#room.mayPresent;
    const raised = String(this.#handIsUp);
    if (this.#button.dataset['active'] === raised) return;
    this.#button.dataset['active'] = raised;
    this.#button.replaceChildren(icon(this.#handIsUp ? 'hand' : 'smile'));
    name(this.#button, say(this.#handIsUp ? 'react.handUp' : 'react'));
  }

  destroy() {
    this.#end();
    for (const timer of this.#timers) clearTimeout(timer);
  }

  /** @param {readonly ReactionInfo[]} reactions */
  #show(reactions) {
    for (const { participant, reaction } of reactions) {
      while (this.#air.childElementCount >= MOST) this.#air.firstElementChild?.remove();
      const shown = element(
        'div',
        { class: 'reaction', testid: 'reaction' },
        element('span', { class: 'reaction-drawn', text: DRAWN[reaction] ?? OTHER }),
        bdi(this.#nameOf(participant), { class: 'reaction-name' }),
      );
      shown.style.setProperty('--place', `${5 + Math.random() * 75}%`);
      shown.style.setProperty('--seen', `${SEEN}ms`);
      this.#air.append(shown);
      const timer = setTimeout(() => {
        shown.remove();
        this.#timers.delete(timer);
      }, SEEN);
      this.#timers.add(timer);
    }
    this.#told.textContent = reactions
      .slice(-NAMED)
      .map(({ participant, reaction }) => say('reaction.of', { name: this.#nameOf(participant), reaction: say(`reaction.${reaction}`) }))
      .join(' ');
  }

  /** @param {string} participant */
  #nameOf(participant) {
    return calledOr(this.#room.state?.nameOf(participant) ?? '');
  }
}
