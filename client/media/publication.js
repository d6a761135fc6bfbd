// The user's own stream: its captured tracks and the link that sends them.
//
// The stream `camera` carries the camera and the microphone, and each may come and go while it is sent. So it always
// offers a section for sound and one for the picture, and a track that comes later is put into its section without a
// new offer (`replaceTrack`, W3C WebRTC section 5.2). A section without a track sends no packets.

import { layersOf, shape, takesLayers, withoutLayers } from './layers.js';
import { MediaLink } from './link.js';

/** @import {Answer, LayersWanted, Source} from '../wire/messages.d.ts' */
/** @import {Connection} from '../wire/connection.js' */

/** @typedef {'audio' | 'video'} MediaKind */

const MAX_TRIES = 6;
/** What each source offers, whether or not there is a track for it yet. @type {Record<Source, readonly MediaKind[]>} */
const OFFERED = { camera: ['audio', 'video'], screen: [] };

export class Publication extends MediaLink {
  /** Whether it has ever had sound. */
  hadSound = false;
  /** Whether the media server finds out whether the user speaks; undefined as long as there was no answer. @type {boolean | undefined} */
  isHeard;
  /** What sends each kind at present. @type {Map<MediaKind, RTCRtpSender>} */
  #senders = new Map();
  /** Whether the present connection sends the picture in layers. */
  #layered = false;
  /** The layers that viewers of the present connection can use; undefined: all. @type {readonly string[] | undefined} */
  #wanted;
  /** Whether the present connection is answered. What is told before is about the one before. */
  #isAnswered = false;
  /** The newest change of how the picture is sent, which the next one waits for. */
  #changing = Promise.resolve();

  /**
   * @param {Connection} connection
   * @param {() => string} ownId one's participant id, which a new session changes
   * @param {Source} source
   * @param {MediaStream} stream captured; the publication's own from now on
   */
  constructor(connection, ownId, source, stream) {
    super(connection, MAX_TRIES);
    this.#ownId = ownId;
    this.source = source;
    this.stream = stream;
    this.hadSound = this.has('audio');
  }
  #ownId;

  /** @override */
  streamId() {
    return `${this.#ownId()}.${this.source}`;
  }

  /** @returns {'camera' | 'microphone' | 'screen'} for texts such as "your camera" */
  label() {
    if (this.source === 'screen') return 'screen';
    return this.has('video') ? 'camera' : 'microphone';
  }

  /**
   * @param {MediaKind} kind
   * @returns {boolean} whether there is a track of this kind, which is then sent
   */
  has(kind) {
    return this.#tracks(kind).length > 0;
  }

  /**
   * Send this track from now on, or none of this kind. The track that was sent before is not stopped.
   * @param {MediaKind} kind
   * @param {MediaStreamTrack | null} track
   */
  put(kind, track) {
    const [before = null] = this.#tracks(kind);
    if (before === track) return;
    if (before) this.stream.removeTrack(before);
    if (track) this.stream.addTrack(track);
    this.hadSound = this.hadSound || this.has('audio');
    this.#senders
      .get(kind)
      ?.replaceTrack(track)
      // The connection was closed meanwhile. The next one begins with this track.
      .catch((error) => console.debug('the track is not sent', error));
    if (kind === 'video' && track) this.#shape();
    this.emit('change', undefined);
  }

  /** Release camera, microphone or screen. */
  releaseDevices() {
    for (const track of this.stream.getTracks()) track.stop();
  }

  /** @param {MediaKind} kind */
  #tracks(kind) {
    return this.stream.getTracks().filter((track) => track.kind === kind);
  }

  /**
   * @override
   * @param {RTCPeerConnection} pc
   */
  prepare(pc) {
    this.#senders.clear();
    this.#layered = false;
    this.#wanted = undefined;
    this.#isAnswered = false;
    for (const kind of /** @type {const} */ (['audio', 'video'])) {
      const [track] = this.#tracks(kind);
      if (!track && !OFFERED[this.source].includes(kind)) continue;
      const layers = kind === 'video' ? this.#layersOf(track) : [];
      this.#layered ||= layers.length > 0;
      const { sender } = pc.addTransceiver(track ?? kind, {
        direction: 'sendonly',
        streams: [this.stream],
        ...(layers.length > 0 ? { sendEncodings: layers } : {}),
      });
      this.#senders.set(kind, sender);
    }
  }

  /** @param {MediaStreamTrack | undefined} track */
  #layersOf(track) {
    // A screen shows text, which only its own size shows well.
    return this.source === 'camera' ? layersOf(this.connection.layers, pixelsOf(track)) : [];
  }

  /** Fit the layers to the picture and to what viewers can use. */
  #shape() {
    if (this.#layered)
      this.#change((parameters) => shape(parameters, pixelsOf(this.#tracks('video')[0]), this.#wanted));
  }

  /**
   * @override
   * @param {Answer} answer
   */
  answered({ sdp, hears = false }) {
    this.#isAnswered = true;
    this.isHeard = hears;
    if (!this.#layered || takesLayers(sdp)) return;
    this.#layered = false;
    this.#change((parameters) => Boolean(withoutLayers(parameters)));
  }

  /**
   * Send no layers that nobody can use.
   * @param {LayersWanted} message
   */
  useLayers({ layers }) {
    if (!this.#isAnswered) return;
    this.#wanted = layers;
    this.#shape();
  }

  /**
   * Change how the picture is sent.
   * @param {(parameters: RTCRtpSendParameters) => boolean} change returns whether it has changed anything
   */
  #change(change) {
    const sender = this.#senders.get('video');
    if (!sender) return;
    this.#changing = this.#changing
      .then(async () => {
        const parameters = sender.getParameters();
        if (change(parameters)) await sender.setParameters(parameters);
      })
      // The connection was closed meanwhile. What is told of the next one is used there.
      .catch((error) => console.debug('not sent as wished', error));
  }

  /**
   * @override
   * @param {string} sdp
   */
  ask(sdp) {
    return this.connection.request({ type: 'publish', source: this.source, sdp });
  }

  /** @override */
  undo() {
    return this.connection.request({ type: 'unpublish', stream: this.streamId() });
  }
}

/** @param {MediaStreamTrack | undefined} track */
function pixelsOf(track) {
  const { width, height } = track?.getSettings() ?? {};
  return width && height ? width * height : undefined;
}
