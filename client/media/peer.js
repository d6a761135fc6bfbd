// One RTCPeerConnection with the media server: offer, answer, and candidates in the right order (RFC 8838).

/** @import {CandidateFound, IceServer} from '../wire/messages.d.ts' */

/** What the media server forwards, the preferred first; rtx carries retransmissions of either. */
const VIDEO_CODECS = ['video/vp8', 'video/h264', 'video/rtx'];
const AUDIO_CODECS = ['audio/opus'];

export class Peer {
  /** @type {CandidateFound[] | null} null: the answer is set, and candidates go straight in */
  #early = [];
  /** @type {RTCIceCandidate[] | null} null: the offer is on its way, and candidates may follow it */
  #held = [];
  #silent = false;

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

  /** @returns {Promise<string>} the offer for the transceivers that are there */
  async offer() {
    for (const transceiver of this.pc.getTransceivers()) preferCodecs(transceiver);
    try {
      const { sdp } = await this.pc.createOffer();
      await this.pc.setLocalDescription({ type: 'offer', sdp: withAudioRepair(sdp ?? '') });
    } catch {
      await this.pc.setLocalDescription(); // A browser that takes only its own words.
    }
    return this.pc.localDescription?.sdp ?? '';
  }

  /** The offer has been sent: our candidates may follow it. */
  trickle() {
    const held = this.#held ?? [];
    this.#held = null;
    if (!this.#silent) held.forEach(this.#onCandidate);
  }

  /** @param {string} sdp */
  async accept(sdp) {
    await this.pc.setRemoteDescription({ type: 'answer', sdp });
    const early = this.#early ?? [];
    this.#early = null;
    for (const message of early) this.#add(message);
  }

  /** @param {CandidateFound} message */
  candidateFound(message) {
    if (this.#early) this.#early.push(message);
    else this.#add(message);
  }

  /** Send and take no more candidates. */
  silence() {
    this.#silent = true;
  }

  close() {
    this.silence();
    this.pc.close();
  }

  /** @param {CandidateFound} message */
  #add({ candidate, sdpMid, sdpMLineIndex }) {
    if (this.#silent) return;
    // One candidate that the browser cannot use does no harm: the others are tried.
    this.pc
      .addIceCandidate({ candidate, sdpMid, sdpMLineIndex })
      .catch((error) => console.debug('candidate not used', candidate, error));
  }
}

/**
 * An offer whose audio can be sent again when it is lost (RFC 4585). Browsers can do that, and do not offer it by
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
  // Where none is left (or an old browser has no such method) its own choice is better than none.
  if (codecs.length > 0 && 'setCodecPreferences' in transceiver) transceiver.setCodecPreferences(codecs);
}
