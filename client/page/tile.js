// One tile of the stage: a picture or what stands for it, the name of whose it is, its state in words, and its tools.

import { avatarOf } from './avatar.js';
import { button, find, fromTemplate, name as nameIcon, part, setIcon, setText } from './dom.js';
import { opensMenu } from './menu.js';
import { say } from './say.js';

/** @import {Bars} from '../media/quality.js' */
/** @import {Source} from '../wire/messages.d.ts' */
/** @import {Choice, Slider} from './menu.js' */
/** @import {Place} from './layout.js' */
/** @import {TileState} from './tile-table.js' */

/**
 * `words` are shown instead of the picture, and `label` next to the name. `person` is the name alone, for the initials;
 * `pictured`: whether there is a picture to be shown.
 * @typedef {{
 *   key: string,
 *   own: boolean,
 *   source: Source,
 *   participant: string,
 *   mirrored: boolean,
 *   name: string,
 *   person: string,
 *   state: TileState,
 *   hidden: boolean,
 *   words: string,
 *   label: string,
 *   stream: string,
 *   media: MediaStream,
 *   muted: boolean,
 *   speaks: boolean,
 *   pictured: boolean,
 *   quality: Bars | null,
 *   pinned: boolean,
 *   silenced: boolean,
 * }} TileInfo
 */

/**
 * `picture`: the video has come to show something, or has another size. `menu`: its menu is asked for. `more`: what else that offers.
 * `failed`: the browser refused a mode.
 * @typedef {{
 *   toggle: () => void,
 *   picture: () => void,
 *   menu: (button: HTMLElement, label: string, choices: (Choice | Slider)[]) => void,
 *   more: () => (Choice | Slider)[],
 *   failed: (mode: 'full' | 'float', error: unknown) => void,
 * }} TileEvents
 */

export class Tile {
  root = fromTemplate('tile-template');
  video = find(this.root, 'video', HTMLVideoElement);

  /**
   * @param {TileInfo} info
   * @param {TileEvents} on
   */
  constructor(info, on) {
    const { root, video } = this;
    const { own, stream, source } = info;
    this.#info = info;
    this.#on = on;
    root.dataset['testid'] = own ? 'own-tile' : 'tile';
    root.dataset['stream'] = stream;
    root.dataset['source'] = source;
    video.muted = own;
    for (const event of ['loadeddata', 'resize', 'playing']) video.addEventListener(event, on.picture);
    this.#toggle = button(root, 'toggle-view');
    this.#full = button(root, 'full-screen');
    this.#more = button(root, 'tile-menu');
    this.#toggle.hidden = own;
    this.#toggle.addEventListener('click', on.toggle);
    this.#full.hidden = !document.fullscreenEnabled;
    this.#full.addEventListener('click', () => this.toggleFullScreen());
    root.addEventListener('dblclick', ({ target }) => {
      if (target instanceof Element && !target.closest('.tile-tools')) this.toggleFullScreen();
    });
    opensMenu(this.#more);
    this.#more.addEventListener('click', () => on.menu(this.#more, this.#more.title, this.#choices()));
  }
  #info;
  #updated = false;
  #on;
  #toggle;
  #full;
  #more;

  /** Whether a frame has been decoded. */
  get hasPicture() {
    return this.video.videoWidth > 0 && this.video.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA;
  }

  /** Width by height of what is shown; null while nothing is. */
  get ratio() {
    return this.hasPicture ? this.video.videoWidth / this.video.videoHeight : null;
  }

  /** @param {TileInfo} info */
  update(info) {
    if (this.#updated && isSame(info, this.#info)) return;
    this.#updated = true;
    const { name, person, state, hidden, words, label, stream, mirrored, muted, speaks, pictured, quality } = info;
    const { root } = this;
    this.#info = info;
    root.dataset['state'] = state;
    root.dataset['stream'] = stream;
    root.classList.toggle('mirrored', mirrored);
    root.classList.toggle('speaks', speaks);
    root.classList.toggle('pictured', pictured);
    part(root, 'muted').hidden = !muted;
    part(root, 'pinned').hidden = !info.pinned;
    part(root, 'silenced').hidden = !info.silenced;
    setText(part(root, 'name'), name);
    setText(part(root, 'state'), label);
    setText(part(root, 'words'), words);
    const avatar = part(root, 'avatar');
    const { initials, hue } = avatarOf(person);
    avatar.hidden = pictured || info.source === 'screen';
    avatar.style.setProperty('--hue', String(hue));
    setText(avatar, initials);
    const bars = part(root, 'quality');
    bars.hidden = quality === null;
    bars.dataset['bars'] = String(quality ?? '');
    bars.setAttribute('aria-label', quality === null ? '' : say(`quality.${quality}`));
    nameIcon(this.#toggle, say(hidden ? 'tile.show' : 'tile.hide', { name }));
    setIcon(this.#toggle, hidden ? 'show' : 'hide');
    nameIcon(this.#full, say('tile.full', { name }));
    nameIcon(this.#more, say('tile.menu', { name }));
    this.video.setAttribute('aria-label', say('tile.picture', { name }));
  }

  /** @param {Place} place */
  put(place) {
    this.root.dataset['place'] = place;
    this.root.hidden = place === 'unshown';
  }

  /**
   * @param {MediaStream} media
   * @returns {boolean} whether it is to be played from its start
   */
  attach(media) {
    const wanted = media.getTracks().length > 0 ? media : null;
    if (this.video.srcObject === wanted) return false;
    this.video.srcObject = wanted;
    return wanted !== null;
  }

  toggleFullScreen() {
    if (!document.fullscreenEnabled) return;
    const done = document.fullscreenElement ? document.exitFullscreen() : this.root.requestFullscreen();
    done.catch((error) => this.#on.failed('full', error));
  }

  /** @returns {(Choice | Slider)[]} */
  #choices() {
    const { own, hidden, pictured } = this.#info;
    /** @type {(Choice | Slider)[]} */
    const choices = this.#on.more();
    if (document.fullscreenEnabled)
      choices.push({ id: 'menu-full-screen', text: say('tile.menu.full'), icon: 'full', run: () => this.toggleFullScreen() });
    if (document.pictureInPictureEnabled && pictured)
      choices.push({ id: 'menu-float', text: say('tile.menu.float'), icon: 'float', run: () => this.#float() });
    if (!own)
      choices.push({
        id: 'menu-toggle-view',
        text: say(hidden ? 'tile.menu.show' : 'tile.menu.hide'),
        icon: hidden ? 'show' : 'hide',
        run: this.#on.toggle,
      });
    return choices;
  }

  #float() {
    const floats = document.pictureInPictureElement === this.video;
    /** @type {Promise<unknown>} */
    const done = floats ? document.exitPictureInPicture() : this.video.requestPictureInPicture();
    done.catch((error) => this.#on.failed('float', error));
  }
}

/**
 * @param {TileInfo} one
 * @param {TileInfo} other
 */
function isSame(one, other) {
  return /** @type {(keyof TileInfo)[]} */ (Object.keys(one)).every((key) => one[key] === other[key]);
}
