// The button that turns the camera or the microphone on and off, and says in which state it is. It stays the same
// element in each state, so that it keeps the focus.

import { find, setIcon, setText } from './dom.js';
import { say } from './say.js';

/** @import {Device, DeviceKind, DeviceState} from '../media/device.js' */

/**
 * Of each state: whether the device is crossed out, and whether it counts as pressed.
 * @type {Record<DeviceState, { crossed: boolean, pressed: boolean }>}
 */
const LOOKS = {
  off: { crossed: true, pressed: false },
  asking: { crossed: false, pressed: true },
  on: { crossed: false, pressed: true },
  blocked: { crossed: true, pressed: false },
  absent: { crossed: true, pressed: false },
  lost: { crossed: true, pressed: true },
};
/** @type {Record<DeviceKind, string>} */
const ICONS = { camera: 'camera', microphone: 'mic' };

export class DeviceToggle {
  /**
   * @param {HTMLButtonElement} root
   * @param {Device} device
   * @param {() => void} toggle
   */
  constructor(root, device, toggle) {
    this.root = root;
    this.#device = device;
    root.dataset['device'] = device.kind;
    root.addEventListener('click', () => {
      if (isUsable(root)) toggle();
    });
  }
  #device;

  /** @param {boolean} [mayTurnOn] whether it may be turned on; off it may always be turned */
  update(mayTurnOn = true) {
    const { kind, state, wanted } = this.#device;
    const { crossed, pressed } = LOOKS[state];
    show(this.root, {
      state,
      icon: ICONS[kind] + (crossed ? '-off' : ''),
      label: say(`toggle.${kind}`),
      words: say(`toggle.${state}`),
      title: say(wanted ? `toggle.${kind}.turnOff` : `toggle.${kind}.turnOn`),
      pressed,
      disabled: !wanted && !mayTurnOn,
    });
  }
}

/**
 * Show the state of a toggle.
 * @param {HTMLButtonElement} root
 * @param {{ state: string, icon: string, label: string, words: string, title: string, pressed: boolean, disabled: boolean }} look
 */
export function show(root, { state, icon, label, words, title, pressed, disabled }) {
  root.dataset['state'] = state;
  root.title = title;
  root.setAttribute('aria-pressed', String(pressed));
  // A button that is disabled by its attribute loses the focus, and nobody could read why it cannot be used.
  root.setAttribute('aria-disabled', String(disabled));
  setIcon(root, icon);
  setText(find(root, '.toggle-label', HTMLElement), label);
  setText(find(root, '.toggle-state', HTMLElement), words);
}

/** @param {Element} button */
export function isUsable(button) {
  return button.getAttribute('aria-disabled') !== 'true';
}
