// The user's camera, or microphone: whether it is wanted, and the track that it gives. The table in device-table.js
// says what is legal in which state.

import { Emitter } from '../wire/emitter.js';
import { Machine } from '../wire/machine.js';
import { DEVICE } from './device-table.js';
import { capture, DeviceError, findDevices, isGiven, permissionOf, watchDevices } from './devices.js';

/** @import {StateOf} from '../wire/machine.js' */
/** @import {Choices} from './choices.js' */

/** @typedef {'camera' | 'microphone'} DeviceKind */
/** @typedef {StateOf<typeof DEVICE>} DeviceState */
/** The data of a trigger of the table: what the browser gave, or why it did not. @typedef {{ stream?: MediaStream, error?: unknown }} DeviceFacts */

/**
 * `lost`: it was unplugged, or the permission was withdrawn. `held`: it was to be turned on, and a moderator keeps it off.
 * @typedef {{ change: void, refused: DeviceError, lost: void, held: void, solved: void }} DeviceEvents
 */

/** Errors of getUserMedia that say that there is no such device. */
const NONE = new Set(['NotFoundError', 'OverconstrainedError']);

/**
 * What a device needs of the browser.
 * @typedef {{
 *   capture: typeof capture,
 *   findDevices: typeof findDevices,
 *   watchDevices: typeof watchDevices,
 *   permissionOf: typeof permissionOf,
 * }} Browser
 */

/** @extends {Emitter<DeviceEvents>} */
export class Device extends Emitter {
  /** What it captures; null while it is not on. @type {MediaStreamTrack | null} */
  track = null;
  /** Why the browser did not give it. @type {DeviceError | null} */
  fault = null;

  /** Whether a moderator keeps it off. The room that the user is in decides it. */
  isHeld = () => false;

  /** Counts the questions, because an answer to an older one is not wanted any more. */
  #asked = 0;
  /** The id of the device that was lost, until it is on again or not wanted any more. @type {string | null} */
  #lost = null;
  /** @type {() => void} */
  #end;

  /** @type {Machine<typeof DEVICE, DeviceFacts>} */
  #machine = new Machine(DEVICE, {
    guards: {
      'a moderator keeps it off': () => this.isHeld(),
      'it was lost': () => this.#lost !== null,
      'there is none': ({ error }) => error instanceof DeviceError && NONE.has(error.reason),
    },
    effects: {
      ask: () => void this.#ask(),
      'let go': () => this.#letGo(),
      take: ({ stream }) => this.#take(stream),
      'forget the fault': () => {
        this.#lost = null;
        this.fault = null;
        this.emit('solved', undefined);
      },
      'tell the fault': ({ error }) => {
        this.#lost = null;
        this.fault = error instanceof DeviceError ? error : new DeviceError(this.kind, '', error);
        this.emit('refused', this.fault);
      },
      'tell the hold': () => this.emit('held', undefined),
      'tell the loss': () => this.emit('lost', undefined),
    },
    fired: () => this.emit('change', undefined),
  });

  /**
   * @param {DeviceKind} kind
   * @param {() => Choices} choices
   * @param {Browser} [browser]
   */
  constructor(kind, choices, browser = { capture, findDevices, watchDevices, permissionOf }) {
    super();
    this.kind = kind;
    this.#choices = choices;
    this.#browser = browser;
    this.#end = browser.watchDevices(() => void this.#look());
    void browser.permissionOf(kind).then((permission) => {
      permission?.addEventListener('change', () => {
        if (isGiven(permission)) this.#machine.fire('allowed', {});
      });
    });
  }
  #choices;
  #browser;

  /** @returns {DeviceState} */
  get state() {
    return this.#machine.state;
  }

  /** Whether the user wants it on. */
  get wanted() {
    return this.#machine.can('turn off');
  }

  /** Whether the browser has not given it yet. */
  get isStarting() {
    return this.#machine.can('granted');
  }

  turnOn() {
    this.#machine.fire('turn on', {});
  }

  turnOff() {
    this.#machine.fire('turn off', {});
  }

  /** Use what the user has chosen by now. */
  choose() {
    this.#machine.fire('choose', {});
  }

  /** End it for good. */
  close() {
    this.turnOff();
    this.#end();
  }

  async #ask() {
    const asked = (this.#asked += 1);
    try {
      const stream = await this.#browser.capture(this.kind, this.#choices());
      if (asked === this.#asked) this.#machine.fire('granted', { stream });
      else for (const track of stream.getTracks()) track.stop();
    } catch (error) {
      if (asked === this.#asked) this.#machine.fire('refused', { error });
    }
  }

  /** @param {MediaStream} [stream] */
  #take(stream) {
    const [track] = stream?.getTracks() ?? [];
    if (!track) return;
    this.track = track;
    track.addEventListener('ended', () => {
      if (track !== this.track) return;
      this.#lost = track.getSettings().deviceId ?? '';
      this.#machine.fire('ended', {});
    });
  }

  #letGo() {
    this.#asked += 1;
    const { track } = this;
    this.track = null;
    track?.stop();
  }

  /** Look whether the device is there again. */
  async #look() {
    if (!this.#machine.can('found')) return;
    const found = (await this.#browser.findDevices())[this.kind];
    const lost = this.#lost;
    if (lost ? found.some(({ id }) => id === lost) : found.length > 0) this.#machine.fire('found', {});
  }
}
