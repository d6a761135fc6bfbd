// One tile of the stage: a picture, the name of its presenter, and its state in words.

import { button, find, fromTemplate, part, setIcon, setText } from './dom.js';

/** @import {TileState} from './tile-table.js' */

/**
 * @typedef {{
 *   key: string,
 *   own: boolean,
 *   mirrored: boolean,
 *   name: string,
 *   state: TileState,
 *   hidden: boolean,
 *   words: string,
 *   label: string,
 *   stream: string,
 *   media: MediaStream,
 *   muted: boolean,
 *   speaks: boolean,
 * }} TileInfo
 * `words` are shown instead of the picture, and `label` next to the name.
 */

export class Tile {
  root = fromTemplate('tile-template');
  video = find(this.root, 'video', HTMLVideoElement);

  /**
   * @param {TileInfo} info
   * @param {{toggle: () => void, picture: () => void, fullScreenFailed: (error: unknown) => void}} on
   *   `picture`: the video has come to show something, or has another size
   */
  constructor({ own, stream }, on) {
    this.root.dataset['testid'] = own ? 'own-tile' : 'tile';
    this.root.dataset['stream'] = stream;
    this.video.muted = own;
    for (const event of ['loadeddata', 'resize', 'playing']) this.video.addEventListener(event, on.picture);
    this.#toggle = button(this.root, 'toggle-view');
    this.#full = button(this.root, 'full-screen');
    this.#toggle.hidden = own;
    this.#toggle.addEventListener('click', on.toggle);
    this.#full.hidden = !document.fullscreenEnabled;
    this.#full.addEventListener('click', () => {
      const done = document.fullscreenElement ? document.exitFullscreen() : this.root.requestFullscreen();
      done.catch(on.fullScreenFailed);
    });
  }
  #toggle;
  #full;

  /** Whether a frame has been decoded. */
  get hasPicture() {
    return this.video.videoWidth > 0 && this.video.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA;
  }

  /** @param {TileInfo} info */
  update({ name, state, hidden, words, label, stream, mirrored, muted, speaks }) {
    const { root } = this;
    root.dataset['state'] = state;
    root.dataset['stream'] = stream;
    root.classList.toggle('mirrored', mirrored);
    root.classList.toggle('speaks', speaks);
    part(root, 'muted').toggleAttribute('hidden', !muted);
    setText(part(root, 'name'), name);
    setText(part(root, 'state'), label);
    setText(part(root, 'words'), words);
    const action = hidden ? `Show ${name}` : `Hide ${name}`;
    this.#toggle.title = action;
    this.#toggle.setAttribute('aria-label', action);
    setIcon(this.#toggle, hidden ? 'show' : 'hide');
    this.#full.setAttribute('aria-label', `Full screen: ${name}`);
    this.video.setAttribute('aria-label', `Picture of ${name}`);
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
}
