// The controls of the user's own camera, microphone and screen.

import { DeviceToggle, isUsable, show } from './device-toggle.js';
import { DevicesDialog } from './devices-dialog.js';
import { button, part, setText } from './dom.js';
import { say } from './say.js';
import { showKey } from './shortcuts-dialog.js';
import { Toolbar } from './toolbar.js';

/** @import {Room} from '../room/room.js' */
/** @import {Notices} from './notices.js' */

/** The name of each toggle for tests, by what a click does. */
const TEST_IDS = {
  camera: { turnOn: 'start-camera', turnOff: 'stop-camera' },
  microphone: { turnOn: 'start-mic', turnOff: 'mute-mic' },
  screen: { turnOn: 'start-screen', turnOff: 'stop-screen' },
};

export class ControlsView {
  /**
   * @param {HTMLElement} root of the room's page
   * @param {Room} room
   * @param {Notices} notices
   */
  constructor(root, room, notices) {
    this.#room = room;
    this.#notices = notices;
    const bar = part(root, 'controls');
    const { camera, microphone } = room.presenting.devices;
    this.#microphone = new DeviceToggle(button(bar, 'start-mic'), microphone, () => room.toggle('microphone'));
    this.#camera = new DeviceToggle(button(bar, 'start-camera'), camera, () => room.toggle('camera'));
    this.#screen = button(bar, 'start-screen');
    this.#note = part(bar, 'controls-note');
    this.#screen.addEventListener('click', () => this.#toggleScreen());
    const dialog = new DevicesDialog(root, room.presenting);
    button(bar, 'device-settings').addEventListener('click', () => dialog.show());
    this.#dialog = dialog;
    this.#toolbar = new Toolbar(bar);
  }
  #room;
  #notices;
  #microphone;
  #camera;
  #screen;
  #note;
  #dialog;
  #toolbar;

  /**
   * Press a toggle, if it can be used.
   * @param {'camera' | 'microphone' | 'screen'} what
   */
  press(what) {
    this.#rootOf(what).click();
  }

  /**
   * Turn the microphone on for as long as a key is held.
   * @returns {(() => void) | undefined} turns it off again; undefined: it is on already, or may not be turned on
   */
  talk() {
    const { microphone } = this.#room.presenting.devices;
    if (microphone.wanted || !isUsable(this.#microphone.root)) return undefined;
    this.#room.toggle('microphone');
    return () => microphone.turnOff();
  }

  /** Put the focus on the toolbar. */
  focus() {
    this.#toolbar.focus();
  }

  /**
   * What a toggle says of its device.
   * @param {'camera' | 'microphone' | 'screen'} what
   */
  describe(what) {
    const root = this.#rootOf(what);
    return { text: textOf(root), hasFocus: root === document.activeElement };
  }

  /** @param {'camera' | 'microphone' | 'screen'} what */
  #rootOf(what) {
    return { camera: this.#camera.root, microphone: this.#microphone.root, screen: this.#screen }[what];
  }

  destroy() {
    this.#dialog.destroy();
  }

  update() {
    const { presenting, mayPresent, isFull, me } = this.#room;
    const { camera, microphone } = presenting.devices;
    const watches = me?.role === 'viewer';
    const may = mayPresent && !isFull && !watches;
    for (const [toggle, device] of /** @type {const} */ ([
      [this.#microphone, microphone],
      [this.#camera, camera],
    ])) {
      toggle.update(may);
      name(toggle.root, device.kind, device.wanted && !device.isStarting);
    }
    const shared = presenting.publications.has('screen');
    const busy = presenting.busy.has('screen');
    show(this.#screen, {
      state: shared ? 'on' : busy ? 'asking' : 'off',
      icon: shared ? 'stop' : 'screen',
      label: say('toggle.screen'),
      words: say(shared ? 'toggle.shared' : busy ? 'toggle.asking' : 'toggle.off'),
      title: say(shared ? 'toggle.screen.turnOff' : 'toggle.screen.turnOn'),
      pressed: shared,
      disabled: busy || (!shared && !may),
    });
    name(this.#screen, 'screen', shared);
    setText(this.#note, watches ? say('controls.viewer') : isFull ? say('controls.full') : '');
    for (const what of /** @type {const} */ (['camera', 'microphone', 'screen'])) showKey(this.#rootOf(what), what);
    this.#toolbar.update();
    this.#dialog.update();
  }

  #toggleScreen() {
    if (!isUsable(this.#screen)) return;
    const { presenting } = this.#room;
    const done = presenting.publications.has('screen') ? presenting.stop('screen') : presenting.share();
    done.catch((error) => this.#notices.showFailure('', error, 'publish:screen'));
  }
}

/** @param {Element} toggle */
function textOf(toggle) {
  return (toggle.querySelector('.toggle-words')?.textContent ?? '').trim();
}

/**
 * @param {HTMLButtonElement} root
 * @param {keyof typeof TEST_IDS} what
 * @param {boolean} on
 */
function name(root, what, on) {
  root.dataset['testid'] = on ? TEST_IDS[what].turnOff : TEST_IDS[what].turnOn;
}
