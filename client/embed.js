// For a page that shows the server's page in a frame: what happens in there, and a few things to ask for. Messages are
// taken from that frame and the server's origin alone, and are sent to no other. docs/embed.md says how to use it.

import { Emitter } from './wire/emitter.js';

/** @import {FromFrame, ToFrame} from './wire/frame.d.ts' */

/**
 * `left`: `reason` is `user`, or says who ended it.
 * @typedef {{
 *   entered: { room: string },
 *   people: { count: number },
 *   media: { camera: boolean, microphone: boolean },
 *   left: { reason: string },
 * }} FrameEvents
 */

/** The messages of the frame that are events. @type {ReadonlySet<unknown>} */
const EVENTS = new Set(['entered', 'people', 'media', 'left']);

/** @extends {Emitter<FrameEvents>} */
class Embedded extends Emitter {
  /** @param {HTMLIFrameElement} frame */
  constructor(frame) {
    super();
    this.#frame = frame;
    this.#origin = new URL(frame.src, document.baseURI).origin;
    addEventListener('message', this.#hear);
    // The page in the frame may be there already. If it is not, it will say so: a frame begins with an empty page of
    // our own origin, which must not be spoken to.
    if (frame.contentDocument?.URL !== 'about:blank') this.#say({ roomfsm: 'follow' });
  }
  #frame;
  #origin;

  /**
   * Turn a device of the user on or off.
   * @param {'camera' | 'microphone'} device
   * @param {boolean} on
   */
  turn(device, on) {
    this.#say({ roomfsm: 'turn', device, on });
  }

  /** Leave the room. */
  leave() {
    this.#say({ roomfsm: 'leave' });
  }

  /** Listen no more. */
  close() {
    removeEventListener('message', this.#hear);
  }

  /** @param {ToFrame} message */
  #say(message) {
    this.#frame.contentWindow?.postMessage(message, this.#origin);
  }

  #hear = (/** @type {MessageEvent} */ { data, origin, source }) => {
    if (source !== this.#frame.contentWindow || origin !== this.#origin) return;
    const message = /** @type {FromFrame | null} */ (typeof data === 'object' ? data : null);
    if (message?.roomfsm === 'ready') this.#say({ roomfsm: 'follow' });
    else if (message && EVENTS.has(message.roomfsm)) {
      const { roomfsm: event, ...told } = message;
      this.emit(event, /** @type {any} */ (told));
    }
  };
}

/**
 * Follow what happens in a frame that shows a page of a roomfsm server.
 * @param {HTMLIFrameElement} frame with the server's address in its `src`
 */
export function embed(frame) {
  return new Embedded(frame);
}
