// What everybody is told of the user's own microphone, camera and speech, and what a moderator's mute does to them. The
// server keeps what was told for as long as the user's seat lasts, so only changes are told.

import { ProtocolError } from '../wire/connection.js';

/** @import {Muted, ParticipantInfo} from '../wire/messages.d.ts' */
/** @import {Connection} from '../wire/connection.js' */
/** @import {Presenting} from '../media/presenting.js' */
/** @import {RoomState} from './state.js' */

/** Where the user is. @typedef {{ readonly state: RoomState | null, readonly mayPresent: boolean }} Place */

/**
 * `muted`: a moderator has muted the user. `keptMuted`: a moderator does not let the microphone be turned on, and
 * `mayBeHeard`: that is over.
 * @typedef {(
 *   { what: 'muted', by: string, hold: boolean } |
 *   { what: 'keptMuted' | 'mayBeHeard' }
 * )} SoundNews
 */

export class Announcing {
  /** The newest that was told of microphone and camera, and of speech, in this seat. */
  #told = { media: '', speaks: false };

  /**
   * @param {Place} place
   * @param {Connection} connection
   * @param {Presenting} presenting
   * @param {(news: SoundNews) => void} tell
   */
  constructor(place, connection, presenting, tell) {
    this.#place = place;
    this.#connection = connection;
    this.#presenting = presenting;
    this.#tell = tell;
    const { microphone } = presenting.devices;
    microphone.isHeld = () => this.#isHeld;
    microphone.on('held', () => this.#keepMuted());
    presenting.on('voice', () => this.speech());
  }
  #place;
  #connection;
  #presenting;
  #tell;

  /** Nothing has been told yet, because the seat is new, or what was told may have been lost. */
  forget() {
    this.#told = { media: '', speaks: false };
  }

  /** Tell everybody whether microphone and camera are on, if that has changed. */
  media() {
    if (!this.#place.state || !this.#place.mayPresent) return;
    const camera = this.#presenting.publications.get('camera');
    const [microphone, picture] = [camera?.has('audio') ?? false, camera?.has('video') ?? false];
    if (microphone && this.#isHeld) {
      this.#keepMuted();
      return;
    }
    const media = JSON.stringify([microphone, picture]);
    // Who has never had anything on need not tell it.
    const known = this.#told.media || JSON.stringify([this.#me?.microphone ?? false, this.#me?.camera ?? false]);
    if (media === known) return;
    this.#told.media = media;
    this.#connection.request({ type: 'media', microphone, camera: picture }).catch((error) => {
      if (error instanceof ProtocolError && error.code === 'muted') this.#keepMuted();
      // Otherwise it is told with the next change.
      if (this.#told.media === media) this.#told.media = '';
    });
  }

  /** Tell everybody whether the user speaks, if that has changed. */
  speech() {
    const { state, mayPresent } = this.#place;
    if (!state || !mayPresent || state.isMuted(state.you)) return;
    const { speaks } = this.#presenting;
    if (speaks === this.#told.speaks) return;
    this.#told.speaks = speaks;
    this.#connection.send({ type: 'speaking', speaking: speaks });
  }

  /** Turn the microphone off if the message that said so may have been lost. */
  comeBack() {
    if ((this.#me?.sound ?? 'audible') !== 'audible') this.#presenting.mute();
  }

  /** @param {Muted} message */
  heardOfMute({ by, hold = false }) {
    this.#presenting.mute();
    this.#told.speaks = false;
    this.#tell({ what: 'muted', by: this.#place.state?.nameOf(by) ?? '', hold });
  }

  /**
   * Something is known of the user that was not known before.
   * @param {ParticipantInfo | undefined} before
   */
  heardOfMyself(before) {
    const { state } = this.#place;
    if (before?.sound === 'held' && !this.#isHeld) this.#tell({ what: 'mayBeHeard' });
    if (state?.isMuted(state.you)) this.#told.speaks = false;
    else this.speech();
  }

  get #me() {
    const { state } = this.#place;
    return state?.participants.get(state.you);
  }

  /** Whether a moderator keeps the user muted. */
  get #isHeld() {
    return this.#me?.sound === 'held';
  }

  #keepMuted() {
    this.#tell({ what: 'keptMuted' });
    this.#presenting.mute();
  }
}
