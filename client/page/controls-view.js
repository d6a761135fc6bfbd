// The controls of the user's own camera, microphone and screen.

import { DeviceToggle, show } from './device-toggle.js';
import { DevicesDialog } from './devices-dialog.js';
import { button, part, setText } from './dom.js';
import { say } from './say.js';

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
  }
  #room;
  #notices;
  #microphone;
  #camera;
  #screen;
  #note;
  #dialog;

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
    this.#dialog.update();
  }

  #toggleScreen() {
    const { presenting } = this.#room;
    const done = presenting.publications.has('screen') ? presenting.stop('screen') : presenting.share();
    done.catch((error) => this.#notices.showFailure('', error, 'publish:screen'));
  }
}

/**
 * @param {HTMLButtonElement} root
 * @param {keyof typeof TEST_IDS} what
 * @param {boolean} on
 */
function name(root, what, on) {
  root.dataset['testid'] = on ? TEST_IDS[what].turnOff : TEST_IDS[what].turnOn;
}
