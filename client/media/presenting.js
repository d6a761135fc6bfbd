// The user's own streams. The camera and the microphone are devices that are turned on and off each by itself; while
// the user is in a room, what is on is sent as the stream `camera`. A shared screen is a stream of its own.
//
// The stream `camera` begins when the first of the two devices is on. When both are off, a stream that has had sound
// is kept for a while, because people mute themselves while others speak, and must be heard at once when they answer:
// a new stream would have to be offered, and to be asked for by everybody. A stream that only had a picture ends
// with it.

import { ProtocolError } from '../wire/connection.js';
import { Emitter } from '../wire/emitter.js';
import { changes, choicesFrom } from './choices.js';
import { Device } from './device.js';
import { capture, DeviceError, findDevices, permissionOf, watchDevices } from './devices.js';
import { Publication } from './publication.js';
import { Voice } from './voice.js';

/** @import {CandidateFound, LayersWanted, Source, StreamInfo} from '../wire/messages.d.ts' */
/** @import {Choices} from './choices.js' */
/** @import {Capture} from './devices.js' */
/** @import {DeviceKind} from './device.js' */
/** @import {Connection} from '../wire/connection.js' */

/** For so many milliseconds a stream that has had sound is kept while nothing is sent. */
const KEPT = 300_000;
/** @type {readonly DeviceKind[]} */
const DEVICES = ['microphone', 'camera'];
/** @type {Record<DeviceKind, 'audio' | 'video'>} */
const MEDIA = { microphone: 'audio', camera: 'video' };

/**
 * News for the user. `topic` names the cause, such as `publish:camera`. A newer message of a topic replaces the
 * older one. A `lasting` message is valid until its topic is solved, and can be read for a while after that if it is
 * one `toRead`. page/words.js has the texts.
 * @template {{ what: string }} What
 * @typedef {What & { kind: 'info' | 'error', topic: string, lasting?: boolean, toRead?: boolean }} News
 */

/**
 * `deviceRefused`: the browser did not give camera or microphone. `deviceLost`: it was unplugged or withdrawn.
 * `screenEnded`: the browser or the user ended the sharing. `screenSoundEnded`: only its sound ended.
 * `endedByModerator`: the stream, which is not published again by itself. `publishFailed`: the stream does not reach
 * the room. With `givenUp`, the page does not try again by itself. `noPlace`: the room has as many presenters as it
 * may. `unpublishFailed`: the server still has a stream that was stopped here.
 * @typedef {(
 *   { what: 'deviceRefused', error: DeviceError } |
 *   { what: 'deviceLost', label: DeviceKind } |
 *   { what: 'screenEnded' | 'screenSoundEnded' | 'noPlace' } |
 *   { what: 'endedByModerator', label: Capture } |
 *   { what: 'publishFailed', label: Capture, error: Error, givenUp: boolean } |
 *   { what: 'unpublishFailed', error: unknown }
 * )} PresentingNews
 */

/** `voice`: the user begins or ceases to speak. @typedef {{ change: void, voice: void, news: News<PresentingNews>, solved: string }} PresentingEvents */

/** @extends {Emitter<PresentingEvents>} */
export class Presenting extends Emitter {
  /** @type {Map<Source, Publication>} */
  publications = new Map();
  /** The sources that are being started or stopped. @type {Set<Source>} */
  busy = new Set();
  /** What is sent instead of what a device gives. @type {Map<DeviceKind, MediaStream>} */
  #given = new Map();
  /** What the user chose about devices. */
  choices = choicesFrom(null, Infinity);
  /** Camera and microphone. */
  devices = { camera: this.#device('camera'), microphone: this.#device('microphone') };

  /**
   * @param {Connection} connection
   * @param {() => string} ownId
   */
  constructor(connection, ownId) {
    super();
    this.#connection = connection;
    this.#ownId = ownId;
    this.on('change', () => this.#listen());
    for (const kind of DEVICES) {
      const topic = `device:${kind}`;
      const device = this.devices[kind];
      device.on('change', () => {
        this.#send();
        this.emit('change', undefined);
      });
      device.on('solved', () => this.emit('solved', topic));
      device.on('refused', (error) =>
        this.emit('news', { what: 'deviceRefused', error, kind: 'error', topic, lasting: true }),
      );
      device.on('lost', () =>
        this.emit('news', { what: 'deviceLost', label: kind, kind: 'error', topic, lasting: true }),
      );
    }
  }
  #connection;
  #ownId;
  /** Whether the user is in a room, so that what is on is sent. */
  #inside = false;
  /** Listens to the microphone while it is sent. @type {{ track: MediaStreamTrack, voice: Voice } | null} */
  #listening = null;
  /** Runs while a stream is kept although nothing is sent. @type {ReturnType<typeof setTimeout> | undefined} */
  #kept;
  /** Counts the rooms. If a screen is granted after the user left the room, it is released. */
  #visit = 0;

  /**
   * Use these choices from now on. A device that is on and that they concern is started anew.
   * @param {Choices} choices
   */
  choose(choices) {
    const before = this.choices;
    this.choices = choices;
    for (const kind of DEVICES) if (changes(before, choices, kind)) this.devices[kind].choose();
    for (const track of this.publications.get('screen')?.stream.getVideoTracks() ?? [])
      track.contentHint = choices.screen;
    this.emit('change', undefined);
  }

  /**
   * Send these tracks instead of those of the devices, whenever the devices are on.
   * @param {MediaStream} stream
   * @returns {DeviceKind[]} the devices of whose kind there are tracks
   */
  give(stream) {
    const kinds = DEVICES.filter((kind) => stream.getTracks().some((track) => track.kind === MEDIA[kind]));
    for (const kind of kinds) {
      this.#given.set(kind, stream);
      this.devices[kind].choose();
    }
    return kinds;
  }

  /**
   * Send what the devices give, and not what was given instead of it.
   * @param {readonly DeviceKind[]} [kinds]
   */
  forgetGiven(kinds = DEVICES) {
    for (const kind of kinds) if (this.#given.delete(kind)) this.devices[kind].choose();
  }

  /** @param {DeviceKind} kind */
  #device(kind) {
    return new Device(kind, () => this.choices, {
      capture: (what, choices) => this.#capture(kind, () => capture(what, choices)),
      findDevices,
      watchDevices,
      permissionOf,
    });
  }

  /**
   * @param {DeviceKind} kind
   * @param {() => Promise<MediaStream>} ask
   * @returns {Promise<MediaStream>} a copy of the track that was given for the device, or what the browser gives
   */
  async #capture(kind, ask) {
    const track = this.#given.get(kind)?.getTracks().find((one) => one.kind === MEDIA[kind]);
    return track ? new MediaStream([track.clone()]) : ask();
  }

  /**
   * Share the screen.
   * @param {MediaStream} [given] what is shared instead of what the user chooses. It is the publication's own from now on
   * @returns {Promise<void>} rejects with `DeviceError`, also if something is given while another screen is shared or
   *   being chosen. What is given is released then
   */
  async share(given) {
    if (this.busy.has('screen') || this.publications.has('screen')) {
      if (!given) return;
      for (const track of given.getTracks()) track.stop();
      throw new DeviceError('screen', 'already_shared');
    }
    const visit = this.#visit;
    await this.#busyWith('screen', async () => {
      const stream = given ?? (await capture('screen', this.choices));
      const publication = new Publication(this.#connection, this.#ownId, 'screen', stream);
      if (visit !== this.#visit) {
        publication.releaseDevices();
        return;
      }
      this.emit('solved', topicOf('screen'));
      this.#watch(publication);
      this.#watchScreen(publication);
      this.publications.set('screen', publication);
    });
    this.publications.get('screen')?.start();
  }

  /** Whether the user speaks into a microphone that is sent. */
  get speaks() {
    return this.#listening?.voice.speaks ?? false;
  }

  /** Turn the microphone off. */
  mute() {
    this.devices.microphone.turnOff();
  }

  /** Listen to the microphone that is sent, if there is one and nobody else does. */
  #listen() {
    const camera = this.publications.get('camera');
    const track = camera?.isHeard === false ? camera.stream.getAudioTracks()[0] : undefined;
    if (this.#listening?.track === track) return;
    this.#listening?.voice.close();
    this.#listening = null;
    if (track && typeof AudioContext !== 'undefined')
      this.#listening = { track, voice: new Voice(track, () => this.emit('voice', undefined)) };
  }

  /** Send what is on, and only that. */
  #send() {
    clearTimeout(this.#kept);
    const publication = this.publications.get('camera') ?? this.#begin();
    if (!publication) return;
    for (const kind of DEVICES) publication.put(MEDIA[kind], this.devices[kind].track);
    if (DEVICES.some((kind) => this.devices[kind].track !== null || this.devices[kind].isStarting)) return;
    if (publication.hadSound) this.#kept = setTimeout(() => void this.stop('camera'), KEPT);
    else void this.stop('camera');
  }

  /** @returns {Publication | undefined} a new stream, if there is something to send in a room */
  #begin() {
    const tracks = DEVICES.flatMap((kind) => this.devices[kind].track ?? []);
    if (!this.#inside || tracks.length === 0 || this.busy.has('camera')) return undefined;
    const publication = new Publication(this.#connection, this.#ownId, 'camera', new MediaStream(tracks));
    this.emit('solved', topicOf('camera'));
    this.#watch(publication);
    this.publications.set('camera', publication);
    publication.start();
    return publication;
  }

  /** @param {Source} source */
  async stop(source) {
    const publication = this.publications.get(source);
    if (!publication || this.busy.has(source)) return;
    this.emit('solved', topicOf(source));
    await this.#busyWith(source, async () => {
      if (source === 'screen') publication.releaseDevices();
      await publication.stop();
      this.publications.delete(source);
    });
    // What was turned on meanwhile begins a stream of its own.
    if (source === 'camera') this.#send();
  }

  /**
   * End everything here, because the user leaves the room. The server ends its side by itself.
   * @param {{ along?: boolean }} [how] `along`: camera and microphone stay on, for the next room
   */
  leave({ along = false } = {}) {
    this.#visit += 1;
    this.#inside = false;
    clearTimeout(this.#kept);
    for (const publication of this.publications.values()) {
      if (publication.source === 'screen') publication.releaseDevices();
      publication.drop();
    }
    this.publications.clear();
    if (!along) {
      this.#turnOff();
      this.forgetGiven();
    }
    this.emit('change', undefined);
  }

  /** Turn off both devices, so that the second one does not begin a stream of its own when the first is off. */
  #turnOff() {
    const inside = this.#inside;
    this.#inside = false;
    for (const kind of DEVICES) this.devices[kind].turnOff();
    this.#inside = inside;
  }

  /** Pause, because the room closed. It is entered again as soon as possible. */
  suspend() {
    this.#inside = false;
    for (const publication of this.publications.values()) publication.suspend();
  }

  /** Publish everything, because the user is in the room with a new session. */
  startAnew() {
    this.#inside = true;
    for (const publication of this.publications.values()) publication.startAnew();
    this.#send();
  }

  /**
   * Continue, because the user is back in the room with the same session.
   * @param {Map<string, StreamInfo>} streams of the room
   * @param {boolean} [moved] whether the network has changed
   */
  resume(streams, moved = false) {
    this.#inside = true;
    for (const source of /** @type {Source[]} */ (['camera', 'screen'])) {
      const id = `${this.#ownId()}.${source}`;
      const publication = this.publications.get(source);
      if (publication) publication.resume(streams.has(id), moved);
      else if (streams.has(id)) this.#end(id);
    }
    this.#send();
  }

  /**
   * @param {string} streamId
   * @param {string} reason
   */
  ended(streamId, reason) {
    const publication = this.#find(streamId);
    if (!publication) return;
    if (reason !== 'moderator') {
      publication.endedByServer(reason);
      return;
    }
    // Nothing that was not asked for here is sent against a moderator's will.
    const { source } = publication;
    const label = publication.label();
    publication.drop();
    this.publications.delete(source);
    this.#release(publication);
    this.emit('solved', topicOf(source));
    this.emit('news', { what: 'endedByModerator', label, kind: 'info', topic: topicOf(source) });
    this.emit('change', undefined);
  }

  /**
   * Let go what a stream sends.
   * @param {Publication} publication
   */
  #release(publication) {
    if (publication.source === 'screen') publication.releaseDevices();
    else this.#turnOff();
  }

  /** @param {CandidateFound} message */
  candidateFound(message) {
    this.#find(message.stream)?.candidateFound(message);
  }

  /** @param {LayersWanted} message */
  useLayers(message) {
    this.#find(message.stream)?.useLayers(message);
  }

  /**
   * End a stream at the server that was stopped here while the connection was lost.
   * @param {string} stream
   */
  #end(stream) {
    this.#connection
      .request({ type: 'unpublish', stream })
      .catch((error) => this.emit('news', { what: 'unpublishFailed', error, kind: 'error', topic: 'unpublish' }));
  }

  /** @param {string} streamId */
  #find(streamId) {
    return [...this.publications.values()].find((publication) => publication.streamId() === streamId);
  }

  /** @param {Publication} publication */
  #watch(publication) {
    const topic = topicOf(publication.source);
    let failing = false;
    publication.on('change', () => {
      if (failing && publication.works) {
        failing = false;
        this.emit('solved', topic);
      }
      this.emit('change', undefined);
    });
    publication.on('failed', ({ error, givenUp }) => {
      failing = true;
      const label = publication.label();
      if (givenUp) {
        void this.stop(publication.source);
        this.#release(publication);
      }
      const full = error instanceof ProtocolError && error.code === 'too_many_presenters';
      this.emit('news', {
        ...(full && givenUp
          ? { what: 'noPlace', topic: 'place' }
          : { what: 'publishFailed', label, error, givenUp, topic }),
        kind: 'error',
        lasting: true,
      });
    });
  }

  /** @param {Publication} screen */
  #watchScreen(screen) {
    const topic = topicOf('screen');
    for (const track of screen.stream.getTracks()) {
      track.addEventListener('ended', () => {
        if (this.publications.get('screen') !== screen) return;
        if (track.kind === 'audio' && screen.stream.getVideoTracks().some((one) => one.readyState === 'live')) {
          this.emit('news', { what: 'screenSoundEnded', kind: 'info', topic });
          return;
        }
        void this.stop('screen');
        this.emit('news', { what: 'screenEnded', kind: 'info', topic });
      });
    }
  }

  /**
   * @param {Source} source
   * @param {() => Promise<void>} work
   */
  async #busyWith(source, work) {
    this.busy.add(source);
    this.emit('change', undefined);
    try {
      await work();
    } finally {
      this.busy.delete(source);
      this.emit('change', undefined);
    }
  }
}

/**
 * The topic of notices about a source.
 * @param {Source} source
 */
function topicOf(source) {
  return `publish:${source}`;
}
