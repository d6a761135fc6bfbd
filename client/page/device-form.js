// The form in which the user chooses camera, microphone and loudspeaker, and how they are used.

import { PICTURES, SIDES } from '../media/choices.js';
import { findDevices, watchDevices } from '../media/devices.js';
import { element, find, fromTemplate, part, setText } from './dom.js';
import { LevelMeter } from './level-meter.js';
import { canChooseSpeaker, useSpeaker } from './loudspeaker.js';
import { say } from './say.js';
import { rememberChoices } from './settings.js';

/** @import {Choices} from '../media/choices.js' */
/** @import {Found, FoundDevices} from '../media/devices.js' */
/** @import {Presenting} from '../media/presenting.js' */

export class DeviceForm {
  root = fromTemplate('device-form-template');
  /** @type {FoundDevices} */
  #found = { camera: [], microphone: [], speaker: [] };

  /** @param {Presenting} presenting */
  constructor(presenting) {
    this.#presenting = presenting;
    this.#meter = new LevelMeter(part(this.root, 'level'));
    this.#meterWords = part(this.root, 'level-words');
    part(this.root, 'speaker-field').hidden = !canChooseSpeaker();
    this.root.addEventListener('change', () => this.#chosen());
    this.#end = watchDevices(() => void this.#look());
    this.relabel();
    void this.#look();
  }
  #presenting;
  #meter;
  #meterWords;
  #end;
  #seen = '';

  #destroyed = false;

  destroy() {
    this.#destroyed = true;
    this.#end();
    this.#meter.close();
  }

  /** Say the choices, perhaps in another language than before. */
  relabel() {
    fill(this.#select('picture'), PICTURES.map((size) => [size, say(`devices.picture.${size}`)]));
    fill(
      this.#select('screen'),
      /** @type {const} */ (['text', 'motion']).map((kind) => [kind, say(`devices.screen.${kind}`)]),
    );
    this.#show();
  }

  /** Show what is on by now. */
  update() {
    const { camera, microphone } = this.#presenting.devices;
    this.#meter.listen(microphone.track);
    setText(this.#meterWords, microphone.track ? '' : say('devices.levelOff'));
    // The browser tells the names of devices when the user has allowed one of them.
    const seen = `${camera.state} ${microphone.state}`;
    if (seen !== this.#seen) void this.#look();
    this.#seen = seen;
  }

  async #look() {
    this.#found = await findDevices();
    // Otherwise the meter would listen to the microphone again, and nobody would close it.
    if (!this.#destroyed) this.#show();
  }

  #show() {
    const { choices } = this.#presenting;
    for (const kind of /** @type {const} */ (['camera', 'microphone', 'speaker']))
      fill(this.#select(kind), optionsOf(this.#found[kind], kind === 'camera'));
    for (const kind of /** @type {const} */ (['camera', 'microphone', 'speaker', 'picture', 'screen'])) {
      const select = this.#select(kind);
      const known = [...select.options].some(({ value }) => value === choices[kind]);
      select.value = known ? choices[kind] : '';
    }
    for (const kind of /** @type {const} */ (['echo', 'noise', 'gain'])) this.#switch(kind).checked = choices[kind];
    this.update();
  }

  #chosen() {
    /** @type {Choices} */
    const choices = { ...this.#presenting.choices };
    for (const kind of /** @type {const} */ (['camera', 'microphone', 'speaker'])) choices[kind] = this.#select(kind).value;
    choices.picture = PICTURES.find((size) => size === this.#select('picture').value) ?? choices.picture;
    choices.screen = this.#select('screen').value === 'motion' ? 'motion' : 'text';
    for (const kind of /** @type {const} */ (['echo', 'noise', 'gain'])) choices[kind] = this.#switch(kind).checked;
    rememberChoices(choices);
    useSpeaker(choices.speaker);
    this.#presenting.choose(choices);
  }

  /** @param {string} name */
  #select(name) {
    return find(this.root, `select[name="${name}"]`, HTMLSelectElement);
  }

  /** @param {string} name */
  #switch(name) {
    return find(this.root, `input[name="${name}"]`, HTMLInputElement);
  }
}

/**
 * @param {Found[]} found
 * @param {boolean} sides whether a phone's front and back can stand instead of its single cameras
 * @returns {[string, string][]} values and texts
 */
function optionsOf(found, sides) {
  /** @type {[string, string][]} */
  const options = [['', say('devices.default')]];
  if (sides && found.length > 1 && matchMedia('(pointer: coarse)').matches) {
    options.push([SIDES[0], say('devices.front')], [SIDES[1], say('devices.back')]);
    return options;
  }
  // Without an id, the browser does not tell which devices there are. `default` is what it would choose itself.
  const known = found.filter(({ id }) => id !== '' && id !== 'default' && id !== 'communications');
  known.forEach(({ id, label }, at) => options.push([id, label || say('devices.unnamed', { number: at + 1 })]));
  return options;
}

/**
 * @param {HTMLSelectElement} select
 * @param {[string, string][]} options
 */
function fill(select, options) {
  const now = [...select.options].map(({ value, text }) => [value, text]);
  if (JSON.stringify(now) === JSON.stringify(options)) return;
  select.replaceChildren(
    ...options.map(([value, text]) => {
      const option = /** @type {HTMLOptionElement} */ (element('option', { text }));
      option.value = value;
      return option;
    }),
  );
}
