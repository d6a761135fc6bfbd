// The stage: a tile for each stream. layout.js decides what is large, grid.js the sizes, sight.js what is received.
//
// Tiles never move in the document, because a video that is moved begins anew; where each is seen is a matter of the
// style sheet, by `data-layout` of the stage and `data-place` of the tile.

import { PathQuality, sampleOf } from '../media/quality.js';
import { choose, chosen, loudnessOf, setLoudness } from './choices.js';
import { button, find, part, setText, updateList } from './dom.js';
import { besideLarge, gridAndSelf, narrowTileWidth, selfWidth, tileWidth } from './grid.js';
import { layOut, screensOf } from './layout.js';
import { Menu, opensMenu } from './menu.js';
import { Roving } from './roving.js';
import { say } from './say.js';
import { calledOr } from './words.js';
import { expectedSize } from './attention.js';
import { Sight } from './sight.js';
import { Soon } from './soon.js';
import { Sound } from './sound.js';
import { changesAt, follow, SILENCE } from './speaker.js';
import { PRESENTED, TILES, tileState, VIEWED } from './tile-table.js';
import { Tile } from './tile.js';

/** @import {StreamInfo} from '../wire/messages.d.ts' */
/** @import {Publication} from '../media/publication.js' */
/** @import {Room} from '../room/room.js' */
/** @import {Arrangement, Place} from './layout.js' */
/** @import {Choice, Slider} from './menu.js' */
/** @import {Details} from './details.js' */
/** @import {Notices} from './notices.js' */
/** @import {Floor} from './speaker.js' */
/** @import {TileInfo} from './tile.js' */
/** @import {Viewing} from '../media/viewing.js' */

const GAP = 8;
const CAMERA_RATIO = 4 / 3;
const SCREEN_RATIO = 16 / 9;
const LEAST_WIDTH = 160;
/** A page narrower than this has a grid of two columns, however many tiles there are. */
const NARROW_BELOW = 480;
/** Milliseconds between two looks at how well the own streams are sent. */
const MEASURE_EVERY = 2_000;

export class StageView {
  /** @type {Map<string, Tile>} */
  #tiles = new Map();
  /** @type {Map<string, TileInfo>} */
  #shown = new Map();
  #sound = new Sound(() => this.update());
  #layingOut = new Soon(() => this.#layOut());
  /** The picture that the user wants large. @type {string | null} */
  #pinned = null;
  /** The screens that the user does not want large. @type {Set<string>} */
  #setAside = new Set();
  /** @type {Floor} */
  #floor = SILENCE;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #floorTimer;
  /** How well the own streams are sent. @type {WeakMap<Publication, PathQuality>} */
  #sent = new WeakMap();

  /**
   * @param {HTMLElement} root of the room's page
   * @param {Room} room
   * @param {Notices} notices
   * @param {Details} details
   * @param {() => DOMRect | null} cover what lies over the stage
   */
  constructor(root, room, notices, details, cover) {
    this.#room = room;
    this.#notices = notices;
    this.#details = details;
    this.#list = part(root, 'stage');
    this.#empty = part(root, 'stage-empty');
    this.#soundButton = button(root, 'enable-sound');
    this.#soundButton.addEventListener('click', () => this.#sound.turnOn());
    this.#options = button(root, 'stage-options');
    this.#menu = new Menu(find(root, '.stage-area', HTMLElement));
    opensMenu(this.#options);
    this.#options.addEventListener('click', () =>
      this.#menu.open(this.#options, say('stage.options'), this.#choices()),
    );
    this.#roving = new Roving(this.#list);
    this.#room.watching.expectedSize = expectedSize;
    this.#sight = new Sight({ cover, changed: (key, size) => this.#room.watching.see(key, size) });
    // Here the browser has just laid the page out.
    this.#sizes = new ResizeObserver(() => this.#layOut());
    this.#sizes.observe(this.#list);
    this.#measuring = setInterval(() => void this.#measure(), MEASURE_EVERY);
  }
  #room;
  #notices;
  #details;
  #list;
  #empty;
  #soundButton;
  #options;
  #menu;
  #roving;
  #sight;
  #sizes;
  #measuring;

  destroy() {
    clearInterval(this.#measuring);
    clearTimeout(this.#floorTimer);
    this.#layingOut.cancel();
    this.#sizes.disconnect();
    this.#sight.destroy();
    this.#sound.destroy();
    for (const { video } of this.#tiles.values()) video.srcObject = null;
  }

  update() {
    const infos = this.#infos();
    const focused = this.#list.contains(document.activeElement);
    updateList(
      this.#list,
      infos,
      (info) => info.key,
      (info) => this.#make(info),
      (_, info) => this.#show(info),
    );
    this.#shown = new Map(infos.map((info) => [info.key, info]));
    for (const [key, { video }] of this.#tiles) {
      if (this.#shown.has(key)) continue;
      video.srcObject = null;
      this.#sound.remove(video);
      this.#sight.remove(key);
      this.#tiles.delete(key);
      this.#setAside.delete(key);
    }
    setText(this.#empty, infos.length > 0 || !this.#room.mayPresent ? '' : say('stage.empty'));
    const watched = infos.some((info) => !info.own && !info.hidden);
    this.#soundButton.hidden = !this.#sound.refused || !watched;
    this.#follow();
    this.#layingOut.ask();
    // The focus must not fall to the page's beginning with a tile that is gone.
    if (!focused || this.#list.contains(document.activeElement)) return;
    this.#layOut();
    if (!this.#roving.focus()) this.#list.focus();
  }

  /** Look again which tiles can be seen. */
  look() {
    this.#sight.look();
  }

  /** Follow who speaks. */
  #follow() {
    const { state } = this.#room;
    const present = new Set(
      [...this.#shown.values()]
        .filter((info) => !info.own && info.source === 'camera' && !info.hidden)
        .map((info) => info.participant),
    );
    this.#floor = follow(this.#floor, { speaking: state?.speaking ?? new Set(), present, now: Date.now() });
    clearTimeout(this.#floorTimer);
    const due = changesAt(this.#floor);
    if (due === null) return;
    this.#floorTimer = setTimeout(
      () => {
        this.#follow();
        this.#layOut();
      },
      Math.max(0, due - Date.now()) + 1,
    );
  }

  /** @returns {TileInfo[]} */
  #infos() {
    const { state, presenting, watching } = this.#room;
    if (!state) return [];
    const own = [...presenting.publications.values()].map((publication) => ({
      ...ownInfo(publication, state.streams.get(publication.streamId())),
      participant: state.you,
      person: calledOr(state.nameOf(state.you)),
      // The label says already that the own microphone is off.
      muted: false,
      speaks: publication.source === 'camera' && state.speaking.has(state.you),
      quality: this.#sent.get(publication)?.bars ?? null,
      silenced: false,
      pinned: this.#pinned === `own.${publication.source}`,
    }));
    const others = this.#room.othersStreams().flatMap((stream) => {
      const { participant } = stream;
      const view = watching.views.get(stream.id);
      if (!view) return [];
      const person = calledOr(state.nameOf(participant));
      const camera = stream.source === 'camera';
      return [
        {
          ...othersInfo(person, stream, view, this.#tiles.get(stream.id)?.hasPicture ?? false, state.broughtBy(stream)),
          participant,
          person,
          muted: camera && state.isMuted(participant),
          speaks: camera && state.speaking.has(participant),
          silenced: loudnessOf(participant).muted,
          pinned: this.#pinned === stream.id,
        },
      ];
    });
    return [...own, ...others];
  }

  /** @param {TileInfo} info */
  #make(info) {
    const { watching } = this.#room;
    const { key } = info;
    const tile = new Tile(info, {
      toggle: () => (watching.views.get(key)?.idle ? watching.show(key) : watching.hide(key)),
      picture: () => {
        if (tile.hasPicture) watching.views.get(key)?.shown();
        this.update();
      },
      menu: (opener, label, choices) => this.#menu.open(opener, label, choices),
      more: () => this.#more(key),
      failed: (mode, error) =>
        this.#notices.show({
          text: say(`tile.failed.${mode}`, { reason: String(error) }),
          kind: 'error',
          topic: 'full-screen',
        }),
    });
    this.#tiles.set(key, tile);
    if (!info.own) this.#sight.add(key, tile.root);
    return tile.root;
  }

  /** @param {TileInfo} info */
  #show(info) {
    const tile = this.#tiles.get(info.key);
    if (!tile) return;
    tile.update(info);
    if (!info.own) this.#sound.set(tile.video, loudnessOf(info.participant));
    if (tile.attach(info.media)) void this.#sound.play(tile.video);
  }

  /**
   * What a tile's menu offers besides what the tile itself can do.
   * @param {string} key
   * @returns {(Choice | Slider)[]}
   */
  #more(key) {
    const info = this.#shown.get(key);
    if (!info) return [];
    if (info.own && info.source === 'camera') return this.#ofSelfView();
    const { participant } = info;
    const { volume, muted } = loudnessOf(participant);
    /** @type {(Choice | Slider)[]} */
    const choices = [
      {
        id: 'menu-pin',
        text: say(info.pinned ? 'tile.menu.unpin' : 'tile.menu.pin'),
        icon: 'pin',
        run: () => this.#pin(info.pinned ? null : key),
      },
    ];
    if (info.own) return choices;
    const set = (/** @type {Partial<import('./choices.js').Loudness>} */ more) => {
      setLoudness(participant, more);
      this.update();
    };
    return [
      ...choices,
      {
        id: 'menu-silence',
        text: say(muted ? 'tile.menu.hear' : 'tile.menu.silence'),
        icon: muted ? 'sound' : 'sound-off',
        run: () => set({ muted: !muted }),
      },
      {
        id: 'menu-volume',
        text: say('tile.menu.volume', { name: info.person }),
        icon: 'sound',
        value: Math.round(volume * 100),
        set: (value) => set({ volume: value / 100, muted: false }),
      },
    ];
  }

  /** @returns {(Choice | Slider)[]} */
  #ofSelfView() {
    const { selfView, mirrored } = chosen();
    const set = (/** @type {Partial<import('./choices.js').Choices>} */ more) => {
      choose(more);
      this.update();
    };
    return [
      {
        id: 'menu-mirror',
        text: say('stage.mirrored'),
        icon: 'mirror',
        checked: mirrored,
        run: () => set({ mirrored: !mirrored }),
      },
      {
        id: 'menu-self-view',
        text: say('stage.selfView'),
        icon: selfView ? 'show' : 'hide',
        checked: selfView,
        run: () => set({ selfView: !selfView }),
      },
    ];
  }

  /** What the menu of the whole stage offers. @returns {(Choice | Slider)[]} */
  #choices() {
    const { arrangement } = chosen();
    const details = {
      id: 'show-details',
      text: say('details.title'),
      icon: 'details',
      line: true,
      run: () => void this.#details.show(),
    };
    // Whoever sees nothing may want to know why.
    if (this.#shown.size === 0) return [{ ...details, line: false }];
    return [
      {
        id: 'stage-speaker',
        text: say('stage.speaker'),
        icon: 'speaker-view',
        checked: arrangement === 'speaker',
        run: () => this.#arrange('speaker'),
      },
      {
        id: 'stage-grid',
        text: say('stage.grid'),
        icon: 'grid',
        checked: arrangement === 'grid',
        run: () => this.#arrange('grid'),
      },
      ...this.#ofSelfView(),
      details,
    ];
  }

  /** @param {string | null} key */
  #pin(key) {
    this.#pinned = key;
    this.update();
  }

  /** @param {Arrangement} arrangement */
  #arrange(arrangement) {
    choose({ arrangement });
    this.#pinned = null;
    // Whoever asks for the grid while a screen is large means that screen, too. One that is shared later is large.
    this.#setAside = new Set(arrangement === 'grid' ? screensOf([...this.#shown.values()]) : []);
    this.update();
  }

  /** Show all the same size, or whoever speaks large, in turn. */
  turnArrangement() {
    if (this.#shown.size > 0) this.#arrange(chosen().arrangement === 'grid' ? 'speaker' : 'grid');
  }

  /**
   * Fill the screen with the tile that has the focus, else with the large one, else with the first of others.
   * @param {Element} target what has the focus
   */
  fillScreen(target) {
    const tiles = [...this.#tiles.values()];
    const tile =
      tiles.find(({ root }) => root.contains(target)) ??
      tiles.find(({ root }) => root.dataset['place'] === 'large') ??
      tiles.find(({ root }) => root.dataset['testid'] === 'tile') ??
      tiles[0];
    tile?.toggleFullScreen();
  }

  async #measure() {
    for (const publication of this.#room.presenting.publications.values()) {
      const report = await publication.peer?.stats();
      if (!report) continue;
      const quality = this.#sent.get(publication) ?? new PathQuality();
      this.#sent.set(publication, quality);
      if (quality.take(sampleOf(report.values(), performance.now()))) this.update();
    }
  }

  #layOut() {
    const { arrangement, selfView } = chosen();
    const { current } = this.#floor;
    const places = layOut([...this.#shown.values()], {
      arrangement,
      selfView,
      pinned: this.#pinned,
      setAside: this.#setAside,
      speaker: current === null ? null : `${current}.camera`,
    });
    for (const [key, place] of places) this.#tiles.get(key)?.put(place);
    this.#measureOut(places);
    this.#roving.update();
    this.#sight.look();
  }

  /**
   * Tell the style sheet the sizes.
   * @param {Map<string, Place>} places
   */
  #measureOut(places) {
    const area = { width: this.#list.clientWidth, height: this.#list.clientHeight };
    const of = (/** @type {Place} */ wanted) => [...places].filter(([, place]) => place === wanted);
    const [large] = of('large').flatMap(([key]) => this.#tiles.get(key) ?? []);
    const screen = [...places.keys()].some((key) => key.endsWith('.screen'));
    /** @type {Record<string, string>} */
    const sizes = {};
    let self = 0;
    let corner = { inset: 0, bottom: 0 };
    let free = { side: 0, below: 0 };
    if (large) {
      const strip = of('strip').length;
      const largeRatio = large.ratio ?? (large.root.dataset['source'] === 'screen' ? SCREEN_RATIO : CAMERA_RATIO);
      const found = besideLarge(area, strip, { ratio: CAMERA_RATIO, largeRatio, gap: GAP });
      const { side, columns, width } = found;
      this.#list.dataset['layout'] = side;
      sizes['--strip-columns'] = String(columns);
      sizes['--strip-rows'] = String(Math.max(1, Math.ceil(strip / Math.max(1, columns))));
      sizes['--tile-width'] = `${width}px`;
      sizes['--tile-ratio'] = String(CAMERA_RATIO);
      sizes['--large-width'] = `${found.large.width}px`;
      sizes['--large-height'] = `${found.large.height}px`;
      sizes['--large-top'] = `${found.large.top}px`;
      self = selfWidth(found.large.width, strip > 0 ? width : area.width);
      // The corner is the large picture's.
      corner = {
        inset: area.width - found.large.left - found.large.width,
        bottom: area.height - found.large.top - found.large.height,
      };
    } else {
      const ratio = screen ? SCREEN_RATIO : CAMERA_RATIO;
      const narrow = document.documentElement.clientWidth < NARROW_BELOW;
      const tile = { ratio, gap: GAP, least: LEAST_WIDTH };
      const widthOf = narrow ? narrowTileWidth : tileWidth;
      const count = of('grid').length;
      const found =
        of('corner').length > 0
          ? gridAndSelf(area, count, tile, widthOf)
          : { width: widthOf(area, count, tile), self: 0, side: 0, below: 0 };
      this.#list.dataset['layout'] = 'grid';
      sizes['--tile-width'] = `${found.width}px`;
      sizes['--tile-ratio'] = String(ratio);
      self = found.self;
      free = found;
    }
    sizes['--self-width'] = `${self}px`;
    sizes['--free-side'] = `${free.side}px`;
    sizes['--free-below'] = `${free.below}px`;
    sizes['--self-inset'] = `${corner.inset}px`;
    sizes['--self-bottom'] = `${corner.bottom}px`;
    for (const [name, value] of Object.entries(sizes)) this.#list.style.setProperty(name, value);
  }
}

/**
 * @param {Publication} publication
 * @param {StreamInfo | undefined} stream as the room knows it
 * @returns {Omit<TileInfo, 'participant' | 'person' | 'muted' | 'speaks' | 'quality' | 'pinned' | 'silenced'>}
 */
function ownInfo(publication, stream) {
  const state = tileState(PRESENTED, {
    link: publication.state,
    brings: publication.stream.getTracks().length > 0 ? 'something' : 'nothing',
    ...(stream ? { stream: stream.state } : {}),
  });
  const { source } = publication;
  const [video, sound] = [publication.has('video'), publication.has('audio')];
  const label = [
    say(TILES[state].ownLabel),
    ...(stream ? [say('tile.watching', { count: stream.viewers })] : []),
    ...(video && !sound && source === 'camera' ? [say('tile.muted')] : []),
    ...(sound && !video ? [say('tile.cameraOff')] : []),
  ];
  return {
    key: `own.${source}`,
    own: true,
    source,
    mirrored: source === 'camera' && chosen().mirrored,
    name: say(source === 'screen' ? 'tile.yourScreen' : 'tile.you'),
    state,
    hidden: false,
    words: '',
    label: label.join(' · '),
    stream: publication.streamId(),
    media: publication.stream,
    pictured: video,
  };
}

/**
 * @param {string} person
 * @param {StreamInfo} stream
 * @param {Viewing} view
 * @param {boolean} hasPicture
 * @param {{ picture: boolean, sound: boolean }} brings what the person has on
 * @returns {Omit<TileInfo, 'participant' | 'person' | 'muted' | 'speaks' | 'pinned' | 'silenced'>}
 */
function othersInfo(person, stream, view, hasPicture, brings) {
  const [tracks, pictures, sounds] = [view.stream.getTracks(), view.stream.getVideoTracks(), view.stream.getAudioTracks()];
  const off = !brings.picture;
  const come = off ? sounds.length > 0 : tracks.length > 0 && (pictures.length > 0 ? hasPicture : view.settled);
  const state = tileState(VIEWED, {
    link: view.state,
    stream: stream.state,
    view: view.serverState,
    flow: view.stalled ? 'stopped' : 'going',
    media: come ? 'complete' : 'missing',
    brings: view.comesSoon ? 'soon' : off && !brings.sound ? 'nothing' : 'something',
  });
  const { words, heardOnly } = TILES[state];
  const flows = words === null;
  const soundOnly = flows && !off && pictures.length === 0 && !view.unseen;
  return {
    key: stream.id,
    own: false,
    source: stream.source,
    mirrored: false,
    name: stream.source === 'screen' ? say('tile.screenOf', { name: person }) : person,
    state,
    hidden: view.idle,
    words: [
      soundOnly ? say('tile.soundOnly') : words === null ? '' : say(words),
      heardOnly && sounds.length > 0 ? say('tile.words.heard') : '',
    ]
      .filter(Boolean)
      .join(' '),
    label: say(flows && off ? 'tile.cameraOff' : `tile.${state}`),
    stream: stream.id,
    media: view.idle ? new MediaStream() : view.stream,
    pictured: hasPicture && !off && !view.idle,
    quality: view.quality.bars,
  };
}
