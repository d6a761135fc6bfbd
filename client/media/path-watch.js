// Notices within about a second that nothing comes from the media server any more, although something came all the
// time. A browser notices a change of the network only after 5 to 7 s, because it waits for answers to its own checks
// (W3C WebRTC section 4.4.3, "disconnected").
//
// One peer connection stands for all, because all use the same network. What comes is not only media: whoever sends
// gets reports about it, too. A peer connection over which little comes, such as one of a presenter who is muted, says
// nothing. So only a silence after steady traffic counts.

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
  /** @type {WeakMap<Watched, Silence>} */
  #heard = new WeakMap();
  /** @type {Watched | null} the peer that was looked at last */
  #last = null;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #timer;
  #peers;
  #fellSilent;

  /**
   * @param {() => Watched[]} peers those that are connected, the ones that receive most first
   * @param {() => void} fellSilent called once for each silence
   */
  constructor(peers, fellSilent) {
    this.#peers = peers;
    this.#fellSilent = fellSilent;
  }

  /** Whether nothing comes at the moment. */
  get silent() {
    return this.#last !== null && (this.#heard.get(this.#last)?.silent ?? false);
  }

  /**
   * Look, or look no more.
   * @param {boolean} wanted
   */
  keep(wanted) {
    if (wanted === (this.#timer !== undefined)) return;
    clearInterval(this.#timer);
    this.#timer = wanted ? setInterval(() => void this.look(), LOOK_EVERY) : undefined;
    if (!wanted) this.#last = null;
  }

  async look() {
    const peers = this.#peers();
    // The same one as before, so that a silence of it is noticed.
    const peer = this.#last !== null && peers.includes(this.#last) ? this.#last : (peers[0] ?? null);
    this.#last = peer;
    if (!peer) return;
    const report = await peer.stats();
    const heard = this.#heard.get(peer) ?? new Silence();
    this.#heard.set(peer, heard);
    const { silent } = heard;
    heard.take(bytesReceived(report));
    if (heard.silent && !silent) this.#fellSilent();
  }
}
