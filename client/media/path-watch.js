// Notices within about a second that nothing comes from the media server any more, although something came all the
// time. A browser notices a change of the network only after 5 to 7 s, because it waits for answers to its own checks
// (W3C WebRTC section 4.4.3, "disconnected").
//
// One peer connection stands for all, because all use the same network. What comes is not only media: whoever sends
// gets reports about it, too. A peer connection over which little comes, such as one of a presenter who is muted, says
// nothing. So only a silence after steady traffic counts, and where there is none, the next peer connection is looked
// at. If one falls silent while something comes over another, it is not the network.

/** Milliseconds between two looks. */
const LOOK_EVERY = 300;
/** So many looks in a row must have found something new before a silence counts. */
const STEADY = 6;
/** So many looks in a row without anything are a silence. */
const SILENT = 3;

/**
 * @param {ReadonlyMap<string, any>} report of one peer connection
 * @returns {number} the bytes that have come over it, media and reports (W3C webrtc-stats)
 */
export function bytesReceived(report) {
  let [transports, pairs] = [0, 0];
  for (const one of report.values()) {
    if (one.type === 'transport') transports += one.bytesReceived ?? 0;
    if (one.type === 'candidate-pair') pairs += one.bytesReceived ?? 0;
  }
  // Not every browser counts for transports.
  return transports || pairs;
}

/** Judges one peer connection by what has come over it at each look. */
export class Silence {
  #bytes = -1;
  #steady = 0;
  #empty = 0;

  /** Whether nothing has come for a while, after steady traffic. */
  get silent() {
    return this.#steady >= STEADY && this.#empty >= SILENT;
  }

  /** Whether so little comes that a silence would say nothing. */
  get quiet() {
    return this.#steady < STEADY && this.#empty > 0;
  }

  /** @param {number} bytes so far */
  take(bytes) {
    const came = bytes !== this.#bytes;
    this.#bytes = bytes;
    if (came && this.#empty > 0) this.#steady = 0;
    if (came) this.#steady += 1;
    this.#empty = came ? 0 : this.#empty + 1;
  }
}

/** @typedef {{ stats: () => Promise<ReadonlyMap<string, any>> }} Watched a peer */

export class PathWatch {
  /** @type {Watched | null} the peer that is looked at */
  #watched = null;
  #heard = new Silence();
  /** The peer that was compared last with one that is silent. @type {Watched | null} */
  #other = null;
  /** What had come over the others when the silence began. @type {WeakMap<Watched, number>} */
  #others = new WeakMap();
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #timer;
  #peers;
  #fellSilent;

  /**
   * @param {() => Watched[]} peers those that are connected, in any order
   * @param {() => void} fellSilent called once for each silence
   */
  constructor(peers, fellSilent) {
    this.#peers = peers;
    this.#fellSilent = fellSilent;
  }

  /** Whether nothing comes at the moment. */
  get silent() {
    return this.#watched !== null && this.#heard.silent;
  }

  /**
   * Look, or look no more.
   * @param {boolean} wanted
   */
  keep(wanted) {
    if (wanted === (this.#timer !== undefined)) return;
    clearInterval(this.#timer);
    this.#timer = wanted ? setInterval(() => void this.look(), LOOK_EVERY) : undefined;
    if (!wanted) this.#turnTo(null);
  }

  async look() {
    const peers = this.#peers();
    // The same one as before, so that a silence of it is noticed, unless little comes over it anyway.
    if (!this.#watched || this.#heard.quiet || !peers.includes(this.#watched))
      this.#turnTo(next(peers, this.#watched));
    const [watched, heard] = [this.#watched, this.#heard];
    if (!watched) return;
    const bytes = bytesReceived(await watched.stats());
    if (heard !== this.#heard) return;
    const { silent } = heard;
    heard.take(bytes);
    if (heard.silent && !silent) this.#fellSilent();
    if (heard.silent) await this.#lookElsewhere(peers, watched);
  }

  /**
   * Look whether anything comes over another peer. Then the network is not the reason for the silence of this one,
   * whose presenter may have stopped.
   * @param {Watched[]} peers
   * @param {Watched} watched
   */
  async #lookElsewhere(peers, watched) {
    const other = next(peers.filter((peer) => peer !== watched), this.#other);
    this.#other = other;
    if (!other) return;
    const bytes = bytesReceived(await other.stats());
    if (watched !== this.#watched) return;
    const before = this.#others.get(other) ?? bytes;
    this.#others.set(other, before);
    if (bytes !== before) this.#turnTo(other);
  }

  /** @param {Watched | null} peer */
  #turnTo(peer) {
    this.#watched = peer;
    this.#heard = new Silence();
    this.#other = null;
    this.#others = new WeakMap();
  }
}

/**
 * @param {Watched[]} peers
 * @param {Watched | null} before
 * @returns {Watched | null} the one that follows in the ring of all; null if there is none
 */
function next(peers, before) {
  const place = before === null ? -1 : peers.indexOf(before);
  return peers[(place + 1) % peers.length] ?? null;
}
