// One RTCPeerConnection with the media server: offers, answers, and candidates in the right order (RFC 8838).
//
// There is one offer in the beginning, and another one each time that ICE is restarted (RFC 8445 section 9). The
// candidates of an offer follow it, and those of the server are added when its answer is set.

/** @import {CandidateFound, IceServer} from '../wire/messages.d.ts' */

/** The codecs that the media server forwards, the preferred one first. rtx carries retransmissions. */
const VIDEO_CODECS = ['video/vp8', 'video/h264', 'video/rtx'];
const AUDIO_CODECS = ['audio/opus'];

/** For so many milliseconds, one look at the statistics is good for all who ask. */
const FRESH = 200;

export class Peer {
  /** @type {CandidateFound[] | null} null when the answer is set, and candidates are added at once */
  #early = [];
  /** @type {RTCIceCandidate[] | null} null when the offer has been sent, and candidates may follow it */
  #held = [];
  #silent = false;
  /** The newest look at the statistics. @type {{ at: number, report: Promise<RTCStatsReport> } | null} */
  #look = null;
  /** @type {(none: RTCStatsReport) => void} */
  #tellClosed = () => {};
  /** @type {Promise<RTCStatsReport>} */
  #closed = new Promise((resolve) => (this.#tellClosed = resolve));

  /**
   * @param {IceServer[]} iceServers
   * @param {(candidate: RTCIceCandidate) => void} onCandidate called from `trickle` on, never after `silence`
   */
  constructor(iceServers, onCandidate) {
    this.pc = new RTCPeerConnection({ iceServers, bundlePolicy: 'max-bundle' });
    this.pc.addEventListener('icecandidate', ({ candidate }) => {
      if (!candidate || this.#silent) return;
      if (this.#held) this.#held.push(candidate);
      else onCandidate(candidate);
    });
    this.#onCandidate = onCandidate;
  }
  #onCandidate;

  /**
   * @param {{ restartWith?: IceServer[] }} [options] `restartWith`: for a new network path, over which the same media go
   *   on, with these STUN and TURN servers
   * @returns {Promise<string>} the offer for the present transceivers
   */
  async offer({ restartWith } = {}) {
    const iceRestart = restartWith !== undefined;
    if (iceRestart) this.#take(restartWith);
    this.#early ??= [];
    this.#held = [];
    for (const transceiver of this.pc.getTransceivers()) preferCodecs(transceiver);
    try {
      const { sdp } = await this.pc.createOffer({ iceRestart });
      await this.pc.setLocalDescription({ type: 'offer', sdp: withAudioRepair(sdp ?? '') });
    } catch {
      if (iceRestart) this.pc.restartIce();
      await this.pc.setLocalDescription(); // This browser accepts only its own offer.
    }
    return this.pc.localDescription?.sdp ?? '';
  }

  /**
   * Use other ICE servers from the next offer on: the credentials of a TURN server are valid for some time only.
   * @param {IceServer[]} iceServers
   */
  #take(iceServers) {
    try {
      this.pc.setConfiguration({ ...this.pc.getConfiguration(), iceServers });
    } catch (error) {
      console.debug('the earlier ICE servers stay', error);
    }
  }

  /** Take an offer back that has got no answer (RFC 8829 section 4.1.10.2). The answer before it stays valid. */
  async rollBack() {
    if (this.pc.signalingState !== 'have-local-offer' || !this.pc.remoteDescription) return;
    try {
      await this.pc.setLocalDescription({ type: 'rollback' });
    } catch (error) {
      console.debug('not rolled back', error);
    }
    this.#addEarly();
  }

  /**
   * The statistics of this moment (W3C webrtc-stats); none if the connection is closed. Firefox does not answer then,
   * not even if it was asked before.
   */
  stats() {
    const now = Date.now();
    if (this.#look === null || now - this.#look.at >= FRESH)
      this.#look = { at: now, report: Promise.race([this.#closed, this.pc.getStats()]) };
    return this.#look.report;
  }

  /** Send our candidates from now on, because the offer has been sent. */
  trickle() {
    const held = this.#held ?? [];
    this.#held = null;
    if (!this.#silent) held.forEach(this.#onCandidate);
  }

  /** @param {string} sdp */
  async accept(sdp) {
    await this.pc.setRemoteDescription({ type: 'answer', sdp });
    this.#addEarly();
  }

  #addEarly() {
    const early = this.#early ?? [];
    this.#early = null;
    for (const message of early) this.#add(message);
  }

  /** @param {CandidateFound} message */
  candidateFound(message) {
    if (this.#early) this.#early.push(message);
    else this.#add(message);
  }

  /** Send and accept no more candidates. */
  silence() {
    this.#silent = true;
  }

  close() {
    this.silence();
    this.pc.close();
    this.#tellClosed(new Map());
  }

  /** @param {CandidateFound} message */
  #add({ candidate, sdpMid, sdpMLineIndex }) {
    if (this.#silent) return;
    // A candidate that the browser cannot use does no harm, because the others are tried.
    this.pc
      .addIceCandidate({ candidate, sdpMid, sdpMLineIndex })
      .catch((error) => console.debug('candidate not used', candidate, error));
  }
}

/**
 * Change an offer so that lost audio can be sent again (RFC 4585). Browsers support that, but do not offer it by
 * themselves.
 * @param {string} sdp
 */
export function withAudioRepair(sdp) {
  return sdp.replace(/^a=rtpmap:(\d+) opus\/.*$/gim, (line, type) =>
    sdp.includes(`a=rtcp-fb:${type} nack\r\n`) ? line : `${line}\r\na=rtcp-fb:${type} nack`,
  );
}

/** @param {RTCRtpTransceiver} transceiver */
function preferCodecs(transceiver) {
  const kind = transceiver.receiver.track.kind;
  const wanted = kind === 'video' ? VIDEO_CODECS : AUDIO_CODECS;
  const known = RTCRtpReceiver.getCapabilities(kind)?.codecs ?? [];
  const codecs = wanted.flatMap((type) => known.filter((codec) => codec.mimeType.toLowerCase() === type));
  // If no codec is left, or an old browser has no such method, the browser's own choice is used.
  if (codecs.length > 0 && 'setCodecPreferences' in transceiver) transceiver.setCodecPreferences(codecs);
}
