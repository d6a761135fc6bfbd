// The view before a room is entered. Users give their names here, see and hear what they will send, and enter.

import { askDisplayName } from '../room/naming.js';
import { followRooms } from '../room/rooms.js';
import { isGiven, permissionOf } from '../media/devices.js';
import { DeviceForm } from './device-form.js';
import { DeviceToggle } from './device-toggle.js';
import { LevelMeter } from './level-meter.js';
import { button, find, fromTemplate, part, setText } from './dom.js';
import { say } from './say.js';
import { rememberedEntry, rememberedName, rememberEntry, rememberName } from './settings.js';
import { describeRoom, explain, nameFault } from './words.js';

/** @import {RoomSummary} from '../wire/api.d.ts' */
/** @import {Presenting} from '../media/presenting.js' */

/** @type {Record<string, 'enter.both' | 'enter.camera' | 'enter.microphone' | 'enter.watching'>} */
const WAYS = {
  'true true': 'enter.both',
  'true false': 'enter.camera',
  'false true': 'enter.microphone',
  'false false': 'enter.watching',
};

export class EnterView {
  root = fromTemplate('enter-template');
  /** @type {(() => void)[]} */
  #ends = [];
  #entered = false;

  /**
   * @param {string} room
   * @param {Presenting} presenting
   * @param {() => void} enter
   */
  constructor(room, presenting, enter) {
    const { root } = this;
    this.#presenting = presenting;
    this.#enter = enter;
    this.#name = find(root, '[name="name"]', HTMLInputElement);
    this.#ask = find(root, '[name="ask"]', HTMLInputElement);
    this.#video = find(root, 'video', HTMLVideoElement);
    this.#in = button(root, 'enter-room');
    this.#watch = button(root, 'enter-watch');
    const { camera, microphone } = presenting.devices;
    this.#toggles = [camera, microphone].map((device) => {
      const root = button(this.root, `preview-${device.kind}`);
      return new DeviceToggle(root, device, () => (device.wanted ? device.turnOff() : device.turnOn()));
    });
    this.#meter = new LevelMeter(part(root, 'preview-level'));
    this.#form = new DeviceForm(presenting);
    part(root, 'device-form').append(this.#form.root);
    this.#room = room;
    this.#name.value = rememberedName();
    this.#ask.checked = rememberedEntry()?.ask ?? true;
    this.#name.addEventListener('input', () => this.#tell(undefined));
    find(root, 'form', HTMLFormElement).addEventListener('submit', (event) => {
      event.preventDefault();
      void this.#goIn(true);
    });
    this.#watch.addEventListener('click', () => void this.#goIn(false));
    this.#ends.push(
      presenting.on('change', () => this.#show()),
      followRooms(
        (rooms) => {
          this.#found = rooms.find(({ name }) => name === room);
          this.#showRoom();
        },
        () => undefined,
      ),
      () => this.#meter.close(),
      () => this.#form.destroy(),
    );
    this.update();
    void this.#turnOnAsBefore();
  }
  #room;
  /** What is known of the room; undefined: it is not open, or nothing is known yet. @type {RoomSummary | undefined} */
  #found;
  #presenting;
  #enter;
  #name;
  #ask;
  #video;
  #in;
  #watch;
  #toggles;
  #meter;
  #form;

  destroy() {
    for (const end of this.#ends) end();
    this.#video.srcObject = null;
    if (!this.#entered) this.#turnOff();
  }

  /** Say everything, perhaps in another language than before. */
  update() {
    this.#showRoom();
    this.#show();
    this.#form.relabel();
  }

  #showRoom() {
    setText(part(this.root, 'title'), say('enter.title', { room: this.#room }));
    setText(part(this.root, 'facts'), this.#found ? describeRoom(this.#found) : '');
  }

  /** Turn on what was on the last time, if that asks the user nothing. */
  async #turnOnAsBefore() {
    const before = rememberedEntry();
    for (const kind of /** @type {const} */ (['camera', 'microphone'])) {
      if (!before?.[kind] || !isGiven(await permissionOf(kind))) continue;
      if (this.#entered || !this.root.isConnected) return;
      this.#presenting.devices[kind].turnOn();
    }
  }

  #turnOff() {
    const { camera, microphone } = this.#presenting.devices;
    camera.turnOff();
    microphone.turnOff();
  }

  #show() {
    const { camera, microphone } = this.#presenting.devices;
    for (const toggle of this.#toggles) toggle.update();
    const { track } = camera;
    const [shown = null] = this.#video.srcObject instanceof MediaStream ? this.#video.srcObject.getTracks() : [];
    if (shown !== track) {
      this.#video.srcObject = track && new MediaStream([track]);
      // A newer track may take its place before it plays.
      if (track) this.#video.play().catch((error) => console.debug('no preview', error));
    }
    this.#video.hidden = track === null;
    setText(
      part(this.root, 'preview-words'),
      track ? '' : camera.isStarting ? say('enter.cameraStarting') : say('enter.cameraOff'),
    );
    const faults = [camera, microphone].flatMap(({ fault }) => (fault ? [explain(fault)] : []));
    setText(part(this.root, 'device-fault'), [...new Set(faults)].join(' '));
    setText(this.#in, say(WAYS[`${camera.wanted} ${microphone.wanted}`] ?? 'enter.watching'));
    this.#watch.hidden = !camera.wanted && !microphone.wanted;
    this.#meter.listen(microphone.track);
    this.#form.update();
  }

  /** @param {string | undefined} fault of the name */
  #tell(fault) {
    setText(part(this.root, 'name-fault'), fault ?? '');
    this.#name.setAttribute('aria-invalid', String(fault !== undefined));
  }

  /** @param {boolean} withDevices */
  async #goIn(withDevices) {
    const typed = this.#name.value;
    const answer = typed.trim() === '' ? { name: '' } : await askDisplayName(typed);
    if (this.#entered || !this.root.isConnected) return;
    this.#tell(nameFault(answer));
    if (answer.name === undefined) {
      this.#name.focus();
      return;
    }
    this.#entered = true;
    const { camera, microphone } = this.#presenting.devices;
    if (!withDevices) this.#turnOff();
    rememberName(answer.name);
    rememberEntry({ ask: this.#ask.checked, camera: camera.wanted, microphone: microphone.wanted });
    this.#enter();
  }
}
