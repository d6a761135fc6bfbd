// Finds out from the peer connection's statistics (W3C webrtc-stats) whether media of a received stream still
// come.

/** Milliseconds without new media after which a stream counts as stalled. */
const STALLED_AFTER = 3_000;

export class Flow {
  /** Whether nothing new has come for a while, although media came before. */
  stalled = false;
  #count = 0;
  #since = 0;

  /**
   * @param {number} count of frames or packets so far; another count than before is something new
   * @param {number} now milliseconds
   */
  measure(count, now) {
    if (count !== this.#count) {
      this.#count = count;
      this.#since = now;
      this.stalled = false;
    } else if (count > 0) {
      this.stalled = now - this.#since >= STALLED_AFTER;
    }
  }
}

/**
 * What should come, as its presenter has told.
 * @typedef {{ picture: boolean, sound: boolean }} Expected
 */

/**
 * @param {Iterable<any>} reports of one peer connection
 * @param {Expected} [expected]
 * @returns {number} decoded frames; where only sound is expected, received packets; 0 where nothing is
 */
export function receivedSoFar(reports, { picture, sound } = { picture: true, sound: true }) {
  let frames = 0;
  let packets = 0;
  for (const report of reports) {
    if (report.type !== 'inbound-rtp') continue;
    if (report.kind === 'video') frames += report.framesDecoded ?? 0;
    else packets += report.packetsReceived ?? 0;
  }
  if (picture && frames > 0) return frames;
  return sound ? packets : 0;
}
