// The stage: a tile for each stream, the user's own first, laid out to fill the space. It also handles sound and
// autoplay.

import { button, part, setText, updateList } from './dom.js';
import { tileWidth } from './grid.js';
import { Sound } from './sound.js';
import { PRESENTED, tileState, TILES, VIEWED } from './tile-table.js';
import { Tile } from './tile.js';

/** @import {StreamInfo} from '../wire/messages.d.ts' */
/** @import {Publication} from '../media/publication.js' */
/** @import {Room} from '../room/room.js' */
/** @import {Notices} from './notices.js' */
/** @import {TileInfo} from './tile.js' */
/** @import {Viewing} from '../media/viewing.js' */

const GAP = 12;
const LEAST_WIDTH = 160;
/** A page narrower than this shows few large tiles instead of many small ones. No tile is smaller than this part of it. */
const NARROW = { below: 480, leastPart: 0.66 };

export class StageView {
  /** @type {Map<string, Tile>} */
  #tiles = new Map();
  #sound = new Sound(() => this.update());
  #ratio = 4 / 3;

  /**
   * @param {HTMLElement} root of the room's page
   * @param {Room} room
   * @param {Notices} notices
   */
  constructor(root, room, notices) {
    this.#room = room;
    this.#notices = notices;
    this.#list = part(root, 'stage');
    this.#empty = part(root, 'stage-empty');
    this.#soundButton = button(root, 'enable-sound');
    this.#soundButton.addEventListener('click', () => this.#sound.turnOn());
    this.#sizes = new ResizeObserver(() => this.#layOut());
    this.#sizes.observe(this.#list);
  }
  #room;
  #notices;
  #list;
  #empty;
  #soundButton;
  #sizes;

  destroy() {
    this.#sizes.disconnect();
    this.#sound.destroy();
    for (const { video } of this.#tiles.values()) video.srcObject = null;
  }

  update() {
    const infos = this.#infos();
    updateList(
      this.#list,
      infos,
      (info) => info.key,
      (info) => this.#make(info),
      (_, info) => this.#show(info),
    );
    const keys = new Set(infos.map((info) => info.key));
    for (const [key, { video }] of this.#tiles) {
      if (keys.has(key)) continue;
      video.srcObject = null;
      this.#sound.remove(video);
      this.#tiles.delete(key);
    }
    setText(this.#empty, infos.length > 0 ? '' : this.#emptyWords());
    const watched = infos.some((info) => !info.own && !info.hidden);
    this.#soundButton.hidden = !this.#sound.refused || !watched;
    this.#ratio = infos.some((info) => info.key.endsWith('.screen')) ? 16 / 9 : 4 / 3;
    this.#layOut();
  }

  #emptyWords() {
    if (!this.#room.mayPresent) return '';
    return 'Nobody is sharing yet. Start your camera, or wait for somebody to start theirs.';
  }

  /** @returns {TileInfo[]} */
  #infos() {
    const { state, presenting, watching } = this.#room;
    if (!state) return [];
    const own = [...presenting.publications.values()].map((publication) => ({
      ...ownInfo(publication, state.streams.get(publication.streamId())),
      // The label says already that the own microphone is off.
      muted: false,
      speaks: publication.source === 'camera' && state.speaking.has(state.you),
    }));
    const others = this.#room.othersStreams().flatMap((stream) => {
      const view = watching.views.get(stream.id);
      const name = nameOf(state.nameOf(stream.participant), stream.source);
      if (!view) return [];
      const camera = stream.source === 'camera';
      return [
        {
          ...othersInfo(name, stream, view, this.#tiles.get(stream.id)?.hasPicture ?? false),
          muted: camera && state.isMuted(stream.participant),
          speaks: camera && state.speaking.has(stream.participant),
        },
      ];
    });
    return [...own, ...others];
  }

  /** @param {TileInfo} info */
  #make(info) {
    const { watching } = this.#room;
    const tile = new Tile(info, {
      toggle: () =>
        watching.views.get(info.key)?.idle ? watching.show(info.key) : watching.hide(info.key),
      picture: () => {
        if (tile.hasPicture) watching.views.get(info.key)?.shown();
        this.update();
      },
      fullScreenFailed: (error) =>
        this.#notices.show({
          text: `Full screen is not possible (${String(error)}).`,
          kind: 'error',
          topic: 'full-screen',
        }),
    });
    if (!info.own) this.#sound.add(tile.video);
    this.#tiles.set(info.key, tile);
    return tile.root;
  }

  /** @param {TileInfo} info */
  #show(info) {
    const tile = this.#tiles.get(info.key);
    if (!tile) return;
    tile.update(info);
    if (tile.attach(info.media)) void this.#sound.play(tile.video);
  }

  #layOut() {
    const area = { width: this.#list.clientWidth, height: this.#list.clientHeight };
    const least = document.documentElement.clientWidth < NARROW.below ? area.width * NARROW.leastPart : LEAST_WIDTH;
    const tile = { ratio: this.#ratio, gap: GAP, least };
    const width = tileWidth(area, this.#list.children.length, tile);
    this.#list.style.setProperty('--tile-width', `${width}px`);
    this.#list.style.setProperty('--tile-ratio', String(this.#ratio));
  }
}

/**
 * @param {string} name
 * @param {import('../wire/messages.d.ts').Source} source
 */
function nameOf(name, source) {
  return source === 'screen' ? `${name}’s screen` : name;
}

/**
 * @param {Publication} publication
 * @param {StreamInfo | undefined} stream as the room knows it
 * @returns {Omit<TileInfo, 'muted' | 'speaks'>}
 */
function ownInfo(publication, stream) {
  const state = tileState(PRESENTED, { link: publication.state, ...(stream ? { stream: stream.state } : {}) });
  const { label, ownLabel = label } = TILES[state];
  const video = publication.has('video');
  const watching = stream ? ` · ${stream.viewers} watching` : '';
  const off = [
    publication.has('audio') && !publication.isOn('audio') ? ' · muted' : '',
    video && !publication.isOn('video') ? ' · picture paused' : '',
  ].join('');
  return {
    key: `own.${publication.source}`,
    own: true,
    mirrored: publication.source === 'camera',
    name: publication.source === 'screen' ? 'Your screen' : 'You',
    state,
    hidden: false,
    words: video ? '' : 'Sound only',
    label: ownLabel + watching + off,
    stream: publication.streamId(),
    media: publication.stream,
  };
}

/**
 * @param {string} name
 * @param {StreamInfo} stream
 * @param {Viewing} view
 * @param {boolean} hasPicture
 * @returns {Omit<TileInfo, 'muted' | 'speaks'>}
 */
function othersInfo(name, stream, view, hasPicture) {
  const [tracks, pictures, sounds] = [view.stream.getTracks(), view.stream.getVideoTracks(), view.stream.getAudioTracks()];
  const come = tracks.length > 0 && (pictures.length > 0 ? hasPicture : view.settled);
  const state = tileState(VIEWED, {
    link: view.state,
    stream: stream.state,
    view: view.serverState,
    flow: view.stalled ? 'stopped' : 'going',
    media: come ? 'complete' : 'missing',
  });
  const { label, words, heard = '', noPicture = words } = TILES[state];
  return {
    key: stream.id,
    own: false,
    mirrored: false,
    name,
    state,
    hidden: view.idle,
    words: (pictures.length === 0 ? noPicture : words) + (sounds.length > 0 ? heard : ''),
    label,
    stream: stream.id,
    media: view.idle ? new MediaStream() : view.stream,
  };
}
