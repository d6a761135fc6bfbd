// A user of the library: what a page needs to be in a room, in a few methods and events. It is made of the parts that
// the page of the server uses, too: the room (`room.js`), what the user presents, and what the user watches. Those
// parts say everything that happens, and go on trying by themselves; this one says what most programs want to know,
// and its promises end.

import { Emitter } from '../wire/emitter.js';
import { Connection } from '../wire/connection.js';
import { hasWebRTC } from '../media/devices.js';
import { findCause } from './cause.js';
import { Credentials } from './credentials.js';
import { asRoomfsmError, RoomfsmError } from './errors.js';
import { Room } from './room.js';
import { keyOf } from './state.js';

/** @import {ChatLine, ParticipantInfo, Reaction, ReactionInfo, Source} from '../wire/messages.d.ts' */
/** @import {DeviceKind} from '../media/device.js' */
/** @import {Bars} from '../media/quality.js' */
/** @import {Address} from './address.js' */
/** @import {FileOptions} from './upload.js' */
/** @import {Moderation, RoomNews, RoomStatus} from './room.js' */

/**
 * What somebody brings to enter a room. `name`: how the user is called there; without it, the server's default.
 * `token`: of a link, or of `roomfsm token`. `password`: the room's.
 * @typedef {{ name?: string, token?: string, password?: string }} EnterOptions
 */

/**
 * A stream of somebody else that is received. `media` gets its tracks as their packets arrive. After a loss of the
 * network it is another object, and `stream` is told again.
 * @typedef {{ id: string, person: ParticipantInfo, source: Source, media: MediaStream }} ReceivedStream
 */

/**
 * What is to be sent: `true` turns a device on, `false` turns it off, and what is not named stays as it is.
 * @typedef {{ camera?: boolean, microphone?: boolean, screen?: boolean }} Devices
 */

/**
 * What the browser measures of one stream. `quality`: of the path of a received stream, from 1 (bad) to 3 (good);
 * null: not known yet. `report`: W3C Identifiers for WebRTC's Statistics API.
 * @typedef {{ stream: string, sends: boolean, quality: Bars | null, report: RTCStatsReport }} StreamStatistics
 */

/**
 * `state`: the state of the table `page` (docs/lifecycle.md) has changed. `entered`: the user is in the room with this
 * name. `waiting`: a moderator must admit the user to this room. `left`: the user is in the room no more, and does not
 * come back by itself. `people`: somebody came, went or changed. `chat`: a line that was not told yet, those from before
 * one came included. `stream` and `streamEnded`: of somebody else. `media`: what the user sends has changed.
 * `problem`: something that was asked for does not work, and `again` says whether it is tried again.
 * @typedef {{
 *   state: RoomStatus,
 *   entered: { room: string },
 *   waiting: { room: string },
 *   left: { reason: string },
 *   people: readonly ParticipantInfo[],
 *   chat: ChatLine,
 *   reaction: ReactionInfo,
 *   stream: ReceivedStream,
 *   streamEnded: { id: string },
 *   media: { camera: boolean, microphone: boolean, screen: boolean },
 *   problem: { error: RoomfsmError, again: boolean },
 * }} ClientEvents
 */

/** A promise to be in a room. @typedef {{ resolve: (entered: { room: string }) => void, reject: (error: RoomfsmError) => void }} Entering */

/** @type {readonly DeviceKind[]} */
const DEVICES = ['camera', 'microphone'];

/** @extends {Emitter<ClientEvents>} */
export class Client extends Emitter {
  /** @type {Entering | null} */
  #entering = null;
  /** Whether the server has ever answered. What fails before that is told at once, and is not tried again. */
  #answered = false;
  /** The lines of the chat that were told. @type {Set<string>} */
  #lines = new Set();
  /** The media of each stream that were told. @type {Map<string, MediaStream>} */
  #told = new Map();
  /** What was told to be sent. */
  #sent = '';

  /**
   * @param {Address} address
   * @param {{ WebSocket?: typeof WebSocket, credentials?: Credentials }} [options]
   */
  constructor(address, { credentials = new Credentials(null), ...options } = {}) {
    super();
    this.#address = address;
    this.#credentials = credentials;
    /** The connection to the server. */
    this.connection = new Connection(address.socket, options);
    /** All of the room, as the server's own page uses it. */
    this.room = new Room(this.connection, credentials);
    this.#listen();
  }
  #address;
  #credentials;

  /** Where the user is: a state of the table `page`. */
  get state() {
    return this.room.status;
  }

  /** The name of the room in which the user is; empty: in none. */
  get name() {
    return this.room.state?.name ?? '';
  }

  /** The user's own entry among the people; undefined: the user is in no room. */
  get me() {
    return this.room.me;
  }

  /** Everybody who is in the room, the user included. @returns {readonly ParticipantInfo[]} */
  get people() {
    return [...(this.room.state?.participants.values() ?? [])];
  }

  /** The lines of the chat, the oldest first. @returns {readonly ChatLine[]} */
  get chat() {
    return this.room.state?.chat ?? [];
  }

  /** The streams of others that are received. @returns {readonly ReceivedStream[]} */
  get streams() {
    const { room } = this;
    return room.othersStreams().flatMap(({ id, source, participant }) => {
      const view = room.watching.views.get(id);
      const person = room.state?.participants.get(participant);
      return view && person && view.stream.getTracks().length > 0 ? [{ id, person, source, media: view.stream }] : [];
    });
  }

  /** What the user sends. */
  get media() {
    const { publications } = this.room.presenting;
    const camera = publications.get('camera');
    return {
      camera: camera?.has('video') ?? false,
      microphone: camera?.has('audio') ?? false,
      screen: publications.has('screen'),
    };
  }

  /**
   * Enter a room, or go there from the present one. Afterwards a lost connection is made again, and the room entered
   * again, without a word of the program.
   * @param {string} room
   * @param {EnterOptions} [options]
   * @returns {Promise<{ room: string }>} the room's name as the server spells it. It rejects with `RoomfsmError` if the
   *   server or the room lets nobody in now, which is then not tried again. If the connection is lost after the server
   *   has answered once, the promise waits until there is one again
   */
  enter(room, { name = this.me?.name ?? '', token, password } = {}) {
    this.#credentials.bring(room, { ...(token ? { token } : {}), ...(password ? { password } : {}) });
    this.#settle(new RoomfsmError('left'));
    return new Promise((resolve, reject) => {
      this.#entering = { resolve, reject };
      // Whoever is in this room, and not on the way to another, asks the server nothing.
      const stays = this.room.mayPresent && this.room.wanted === this.name && this.name === room;
      this.room.enter(room, name);
      if (stays) this.#settle(null, room);
    });
  }

  /** Leave the room, and end the connection. */
  leave() {
    this.#settle(new RoomfsmError('left'));
    this.room.leave();
  }

  /**
   * Send the user's devices, or a stream of one's own: a canvas, a file, or a camera with settings of one's own. Its
   * tracks are copied, so that they remain the program's. A stream replaces what was sent of its kinds before, or the
   * screen.
   * @param {MediaStream | Devices} what
   * @param {Source} [source] of a stream of one's own: whether it is shown as a person or as a screen
   * @returns {Promise<void>} when it reaches the room, without what of it is refused, which is a `problem`. It rejects
   *   with `RoomfsmError` if nothing of it can be sent
   */
  async present(what, source = 'camera') {
    const { presenting } = this.room;
    if (!this.room.mayPresent) throw new RoomfsmError('not_inside');
    if (!hasWebRTC()) throw new RoomfsmError('no_webrtc');
    if (typeof MediaStream !== 'undefined' && what instanceof MediaStream) {
      if (what.getTracks().length === 0) throw new RoomfsmError('nothing_to_send');
      if (source === 'screen') {
        await presenting.stop('screen');
        if (!this.room.mayPresent) throw new RoomfsmError('left');
        return this.#until('screen', () => presenting.share(copied(what)));
      }
      const kinds = presenting.give(what);
      return this.#until('camera', () => this.#turn(kinds), kinds);
    }
    const wanted = /** @type {Devices} */ (what ?? {});
    for (const kind of DEVICES) if (wanted[kind] === false) presenting.devices[kind].turnOff();
    presenting.forgetGiven(DEVICES.filter((kind) => wanted[kind] !== undefined));
    if (wanted.screen === false) void presenting.stop('screen');
    const kinds = DEVICES.filter((kind) => wanted[kind]);
    if (kinds.length === 0 && wanted.screen === undefined && !DEVICES.some((kind) => wanted[kind] === false))
      throw new RoomfsmError('nothing_to_send');
    await Promise.all([
      kinds.length > 0 ? this.#until('camera', () => this.#turn(kinds), kinds) : undefined,
      wanted.screen ? this.#until('screen', () => presenting.share()) : undefined,
    ]);
  }

  /** Send nothing any more, and stay in the room. */
  stop() {
    const { presenting } = this.room;
    for (const kind of DEVICES) presenting.devices[kind].turnOff();
    for (const source of presenting.publications.keys()) void presenting.stop(source);
    presenting.forgetGiven();
  }

  /**
   * Say a line to everybody.
   * @param {string} text
   * @param {{ to?: string, replyTo?: number }} [about] the id of the only person who hears it; the `seq` of the line that it answers
   * @returns {Promise<void>} rejects with `RoomfsmError`
   */
  async say(text, about = {}) {
    await this.#asked(this.room.say(text, about));
  }

  /** Whether files can be sent to the chat of this room. */
  get maySendFiles() {
    return this.room.maySendFiles;
  }

  /**
   * Send a file to the chat. Whoever hears its line gets the file from there, relative to the server's address.
   * @param {File | Blob} file
   * @param {FileOptions} [options] to whom alone, and which line it answers; a name for what has none; `onprogress`,
   *   which gets how much has gone, from 0 to 1; a `signal` that stops it
   * @returns {Promise<void>} rejects with `RoomfsmError`
   */
  async sendFile(file, options = {}) {
    await this.#asked(this.room.sendFile(file, options));
  }

  /**
   * The address from which a file of a line is fetched.
   * @param {{ path: string }} file
   * @returns {string}
   */
  addressOf(file) {
    return `${this.#address.base}/${file.path}`;
  }

  /**
   * @param {string} name how the user is called from now on
   * @returns {Promise<void>} rejects with `RoomfsmError`
   */
  async rename(name) {
    await this.#asked(this.room.rename(name));
  }

  /** @param {Reaction} reaction shown to everybody for a moment */
  react(reaction) {
    this.room.react(reaction);
  }

  /**
   * Ask for something about people or the whole room, such as `{ type: 'kick', participant: id }`. The server decides
   * whether the user's role allows it.
   * @param {Moderation} message a message of docs/protocol.md
   * @returns {Promise<void>} rejects with `RoomfsmError`
   */
  async moderate(message) {
    await this.#asked(this.room.moderate(message));
  }

  /**
   * Receive the picture of somebody's stream, or only its sound, which saves the viewer's network.
   * @param {string} stream
   * @param {boolean | import('../wire/messages.d.ts').Size} seen whether the user sees the picture, or how large:
   *   *small* is up to a quarter of a camera's width, *medium* up to half of it
   */
  see(stream, seen) {
    this.room.watching.see(stream, seen === true ? 'large' : seen === false ? 'none' : seen);
  }

  /** @returns {Promise<StreamStatistics[]>} what the browser measures of each stream that is sent or received now */
  async statistics() {
    const { presenting, watching } = this.room;
    const links = [...presenting.publications.values(), ...watching.views.values()];
    const found = await Promise.all(
      links.map(async (link) => {
        const report = await link.peer?.stats();
        const view = watching.views.get(link.streamId());
        return report && { stream: link.streamId(), sends: !view, quality: view?.quality.bars ?? null, report };
      }),
    );
    return found.flatMap((one) => one ?? []);
  }

  #listen() {
    const { room, connection } = this;
    room.on('entered', ({ name }) => {
      // Meanwhile another room may be wanted, to which the user goes on from here.
      if (room.wanted === name) this.#settle(null, name);
      this.emit('entered', { room: name });
      this.emit('people', this.people);
      this.#tellLines();
      this.#tellStreams();
    });
    room.on('moved', () => {
      this.#lines.clear();
      this.#tellStreams();
    });
    room.on('change', (what) => {
      if (what === 'status') this.emit('state', this.state);
      if (what === 'people') this.emit('people', this.people);
      if (what === 'chat') this.#tellLines();
      if (what === 'media' || what === 'streams' || what === 'people') this.#tellStreams();
      if (what === 'media') this.#tellMedia();
    });
    room.on('reacted', (reactions) => {
      for (const reaction of reactions) this.emit('reaction', reaction);
    });
    room.on('misnamed', ({ fault }) => this.#settle(new RoomfsmError('malformed', fault)));
    room.on('news', (news) => this.#hear(news));
    connection.on('ready', () => {
      this.#answered = true;
    });
    connection.on('lost', () => void this.#lost());
  }

  /** @param {RoomNews} news */
  #hear(news) {
    switch (news.what) {
      case 'waiting':
        this.emit('waiting', { room: news.room });
        break;
      case 'notEntered': {
        const error = asRoomfsmError(news.error);
        if (this.#entering && news.again) this.room.leave();
        if (!this.#settle(error)) this.emit('problem', { error, again: news.again });
        break;
      }
      case 'notSwitched':
        this.#settle(asRoomfsmError(news.error));
        break;
      case 'putOut':
        this.#settle(new RoomfsmError('left'));
        this.emit('left', { reason: news.reason ?? '' });
        break;
      case 'connectionEnded':
        this.#settle(new RoomfsmError('connection_ended'));
        this.emit('left', { reason: 'connection_ended' });
        break;
      case 'deviceRefused':
      case 'refused':
        this.emit('problem', { error: asRoomfsmError(news.error), again: false });
        break;
      case 'publishFailed':
      case 'viewFailed':
        this.emit('problem', { error: asRoomfsmError(news.error), again: !news.givenUp });
        break;
      case 'noPlace':
        this.emit('problem', { error: new RoomfsmError('too_many_presenters'), again: false });
        break;
      case 'keptMuted':
        this.emit('problem', { error: new RoomfsmError('muted', 'A moderator keeps the microphone muted.'), again: false });
        break;
    }
  }

  /** The connection is lost. If there never was one, the first failure is the answer, and its cause is looked for. */
  async #lost() {
    if (this.#answered || !this.#entering) return;
    const entering = this.#entering;
    const cause = await findCause(this.#address.base);
    if (this.#entering !== entering || this.#answered) return;
    this.room.leave();
    this.#settle(new RoomfsmError(cause));
  }

  /**
   * End the promise to be in a room, if there is one.
   * @param {RoomfsmError | null} error
   * @param {string} [room]
   * @returns {boolean} whether there was one
   */
  #settle(error, room = '') {
    const entering = this.#entering;
    this.#entering = null;
    if (error) entering?.reject(error);
    else entering?.resolve({ room });
    return entering !== null;
  }

  #tellLines() {
    const told = this.#lines;
    this.#lines = new Set(this.chat.map(keyOf));
    for (const line of this.chat) if (!told.has(keyOf(line))) this.emit('chat', line);
  }

  #tellStreams() {
    const ids = new Set(this.room.othersStreams().map(({ id }) => id));
    for (const id of this.#told.keys()) {
      if (ids.has(id)) continue;
      this.#told.delete(id);
      this.emit('streamEnded', { id });
    }
    for (const stream of this.streams) {
      if (this.#told.get(stream.id) === stream.media) continue;
      this.#told.set(stream.id, stream.media);
      this.emit('stream', stream);
    }
  }

  #tellMedia() {
    const sent = JSON.stringify(this.media);
    if (sent === this.#sent) return;
    this.#sent = sent;
    this.emit('media', this.media);
  }

  /** @param {readonly DeviceKind[]} kinds */
  async #turn(kinds) {
    for (const kind of kinds) this.room.presenting.devices[kind].turnOn();
  }

  /**
   * Begin to send a source, and wait until it reaches the room.
   * @param {Source} source
   * @param {() => Promise<void>} begin
   * @param {readonly DeviceKind[]} [kinds] of the source `camera`: the devices of which at least one must be sent
   * @returns {Promise<void>} rejects with `RoomfsmError`
   */
  async #until(source, begin, kinds = []) {
    const { busy, devices, publications } = this.room.presenting;
    const { presenting } = this.room;
    const asking = () => kinds.some((kind) => devices[kind].isStarting);
    /** Whether something of what is wanted is on or about to be. */
    const comes = () =>
      source === 'screen'
        ? busy.has('screen') || publications.has('screen')
        : asking() || kinds.some((kind) => devices[kind].track !== null);
    /** @type {(() => void)[]} */
    const ends = [];
    try {
      await new Promise((resolve, reject) => {
        let begun = false;
        const look = () => {
          if (!this.room.state) reject(new RoomfsmError('left'));
          else if (!begun || asking()) return;
          else if (comes()) {
            if (publications.get(source)?.works) resolve(undefined);
          }
          // While a stream is being stopped that did not reach the room, the news say why.
          else if (!busy.has(source)) reject(new RoomfsmError('stopped'));
        };
        ends.push(
          presenting.on('change', look),
          this.room.on('moved', look),
          presenting.on('news', (news) => {
            if (news.what === 'noPlace') reject(new RoomfsmError('too_many_presenters'));
            else if (news.what === 'publishFailed' && news.topic === `publish:${source}` && news.givenUp)
              reject(asRoomfsmError(news.error));
            else if (news.what === 'deviceRefused' && !comes()) reject(asRoomfsmError(news.error));
          }),
          this.room.on('news', ({ what }) => {
            if (what === 'keptMuted' && !comes())
              reject(new RoomfsmError('muted', 'A moderator keeps the microphone muted.'));
          }),
        );
        begin().then(
          () => {
            begun = true;
            look();
          },
          (error) => reject(asRoomfsmError(error)),
        );
      });
    } finally {
      for (const end of ends) end();
    }
  }

  /**
   * @template T
   * @param {Promise<T>} request
   * @returns {Promise<T>} rejects with `RoomfsmError`
   */
  async #asked(request) {
    try {
      return await request;
    } catch (error) {
      throw asRoomfsmError(error);
    }
  }
}

/**
 * @param {MediaStream} stream
 * @returns {MediaStream} with copies of its tracks, which end by themselves
 */
function copied(stream) {
  return new MediaStream(stream.getTracks().map((track) => track.clone()));
}
