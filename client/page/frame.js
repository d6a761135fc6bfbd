// The page in a frame of another page: it tells that page what happens, and does what that page asks for.
//
// Whom it may tell is decided before this runs: the browser shows the page only to those that `--frame-ancestors`
// names. So the window around it is believed, and no other. The page does not know the origin of that window until it
// speaks, and tells nothing before; then the browser delivers what is told to that origin only.

/** @import {Client} from '../room/client.js' */
/** @import {FromFrame, ToFrame} from '../wire/frame.d.ts' */

/**
 * As much of a browser's window as is needed.
 * @typedef {{
 *   parent: { postMessage(message: FromFrame, origin: string): void },
 *   addEventListener(type: 'message', listener: (event: MessageEvent) => void): void,
 * }} Framed
 */

/**
 * @param {Client} client
 * @param {{ leave(): void, framed?: Framed }} page `leave`: goes to the start page
 */
export function tellTheFrame(client, { leave, framed = window }) {
  const { parent } = framed;
  if (/** @type {unknown} */ (parent) === framed) return;
  /** @type {string | null} */
  let origin = null;
  let count = 0;
  /** @type {string | null} */
  let room = null;

  /** @param {FromFrame} message */
  function tell(message) {
    if (origin !== null) parent.postMessage(message, origin);
  }
  function tellMedia() {
    const { camera, microphone } = client.media;
    tell({ roomfsm: 'media', camera, microphone });
  }
  function tellPeople() {
    if (client.people.length === count || room === null) return;
    count = client.people.length;
    tell({ roomfsm: 'people', count });
  }
  function tellAll() {
    if (room === null) return;
    tell({ roomfsm: 'entered', room });
    count = 0;
    tellPeople();
    tellMedia();
  }
  /** @param {string} reason */
  function tellLeft(reason) {
    if (room === null) return;
    room = null;
    tell({ roomfsm: 'left', reason });
  }

  client.on('entered', (entered) => {
    if (room === entered.room) return;
    room = entered.room;
    tellAll();
  });
  client.on('people', tellPeople);
  client.on('media', tellMedia);
  client.on('left', ({ reason }) => tellLeft(reason));
  client.room.on('moved', () => {
    if (client.name === '') tellLeft('user');
  });

  framed.addEventListener('message', ({ data, source, origin: from }) => {
    if (source !== /** @type {unknown} */ (parent) || typeof data !== 'object' || data === null) return;
    const message = /** @type {ToFrame} */ (data);
    switch (message.roomfsm) {
      case 'follow':
        // A page without an origin (a sandbox) cannot be told anything that no other page hears.
        if (from === 'null') break;
        origin = from;
        tellAll();
        break;
      case 'turn': {
        if (!Object.hasOwn(client.room.presenting.devices, message.device)) break;
        const device = client.room.presenting.devices[message.device];
        if (message.on === true) device.turnOn();
        else if (message.on === false) device.turnOff();
        break;
      }
      case 'leave':
        leave();
        break;
    }
  });
  // It contains nothing, so everybody may hear it.
  parent.postMessage({ roomfsm: 'ready' }, '*');
}
