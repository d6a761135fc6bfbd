// How good a path is, in three bars, from two looks at a peer connection's statistics (W3C webrtc-stats): by the
// packets that were lost between them, the round trip, and how the frames came.

/** @typedef {1 | 2 | 3} Bars three: good; two: it can be noticed; one: bad */

/**
 * Counts since the peer connection began. `frozen`: the seconds in which the picture stood still. `limited`: whether
 * the browser sends a smaller picture because the path is slow. `roundTrip` in seconds, null while it is not known.
 * @typedef {{
 *   packets: number,
 *   lost: number,
 *   frames: number,
 *   dropped: number,
 *   frozen: number,
 *   limited: boolean,
 *   roundTrip: number | null,
 *   at: number,
 * }} Sample
 */

/** What is still good, and what can only be noticed; above that it is bad. */
const BOUNDS = {
  /** Fraction of the packets. */
  lost: [0.02, 0.08],
  /** Seconds. */
  roundTrip: [0.3, 0.8],
  /** Fraction of the received frames. */
  dropped: [0.1, 0.4],
  /** Fraction of the time. */
  frozen: [0.05, 0.3],
};

/**
 * @param {Iterable<any>} reports of one peer connection
 * @param {number} now milliseconds
 * @returns {Sample}
 */
export function sampleOf(reports, now) {
  /** @type {Sample} */
  const sample = { packets: 0, lost: 0, frames: 0, dropped: 0, frozen: 0, limited: false, roundTrip: null, at: now };
  for (const report of reports) {
    switch (report.type) {
      case 'inbound-rtp':
        sample.packets += report.packetsReceived ?? 0;
        sample.lost += report.packetsLost ?? 0;
        sample.frames += report.framesReceived ?? 0;
        sample.dropped += report.framesDropped ?? 0;
        sample.frozen += report.totalFreezesDuration ?? 0;
        break;
      case 'outbound-rtp':
        sample.packets += report.packetsSent ?? 0;
        sample.limited ||= report.qualityLimitationReason === 'bandwidth';
        break;
      case 'remote-inbound-rtp':
        sample.lost += report.packetsLost ?? 0;
        sample.roundTrip ??= report.roundTripTime ?? null;
        break;
      case 'candidate-pair':
        if (report.nominated) sample.roundTrip = report.currentRoundTripTime ?? sample.roundTrip;
        break;
    }
  }
  return sample;
}

/**
 * @param {Sample} before
 * @param {Sample} after
 * @returns {Bars | null} null if nothing was sent or received in between
 */
export function quality(before, after) {
  const packets = after.packets - before.packets;
  const seconds = (after.at - before.at) / 1000;
  if (packets <= 0 || seconds <= 0) return null;
  // Packets that come late are taken back from the lost ones.
  const lost = Math.max(0, after.lost - before.lost);
  const frames = after.frames - before.frames;
  const grades = [
    grade(lost / (packets + lost), BOUNDS.lost),
    grade(after.roundTrip ?? 0, BOUNDS.roundTrip),
    grade(frames > 0 ? (after.dropped - before.dropped) / frames : 0, BOUNDS.dropped),
    grade((after.frozen - before.frozen) / seconds, BOUNDS.frozen),
    after.limited ? 2 : 3,
  ];
  return /** @type {Bars} */ (Math.min(...grades));
}

/**
 * @param {number} value
 * @param {number[]} bounds
 */
function grade(value, [good = 0, noticed = 0]) {
  if (value <= good) return 3;
  return value <= noticed ? 2 : 1;
}

/** Follows one path. A grade that changes only for a moment is not told. */
export class PathQuality {
  /** @type {Bars | null} */
  bars = null;
  /** @type {Sample | null} */
  #last = null;
  /** @type {Bars | null} */
  #found = null;

  /**
   * @param {Sample} sample
   * @returns {boolean} whether `bars` has changed
   */
  take(sample) {
    const found = this.#last && quality(this.#last, sample);
    const [before, told] = [this.#found, this.bars];
    this.#last = sample;
    this.#found = found;
    if (told === null || found === null || found === before) this.bars = found ?? told;
    return this.bars !== told;
  }
}
