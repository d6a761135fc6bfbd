// What the statistics of a peer connection say (W3C webrtc-stats), in the terms of a report about a fault: picture,
// frames, bitrate, loss, round trip, codec and path. A reading has counts since the connection began, and two readings
// give the rates between them.

/** @typedef {import('./publication.js').MediaKind} MediaKind */

/**
 * `relay` is the way to the TURN server; null: there is none between.
 * @typedef {{ transport: 'udp' | 'tcp', relay: 'udp' | 'tcp' | 'tls' | null }} Path
 */

/**
 * Counts of what is sent or received of one kind. `lost`: packets that did not arrive. `codec`: without its type, such
 * as 'VP8'; null: not known yet.
 * @typedef {{
 *   bytes: number,
 *   packets: number,
 *   lost: number,
 *   frames: number,
 *   width: number,
 *   height: number,
 *   codec: string | null,
 * }} Counts
 */

/**
 * `at` in milliseconds since 1970, `roundTrip` in seconds; null: not known.
 * @typedef {{ at: number, kinds: Partial<Record<MediaKind, Counts>>, roundTrip: number | null, path: Path | null }} Reading
 */

/**
 * The time between two readings. Sizes in pixels, `bitrate` in bit/s, `loss` a fraction, `roundTrip` in seconds.
 * @typedef {{
 *   size: { width: number, height: number } | null,
 *   frames: number | null,
 *   picture: number | null,
 *   sound: number | null,
 *   loss: number | null,
 *   roundTrip: number | null,
 *   codecs: string[],
 *   path: Path | null,
 * }} Rates
 */

/** Where nothing is known. @type {Rates} */
export const UNKNOWN = {
  size: null,
  frames: null,
  picture: null,
  sound: null,
  loss: null,
  roundTrip: null,
  codecs: [],
  path: null,
};

/**
 * @param {ReadonlyMap<string, any>} report of one peer connection
 * @param {number} now milliseconds since 1970
 * @returns {Reading}
 */
export function readingOf(report, now) {
  /** @type {Reading} */
  const reading = { at: now, kinds: {}, roundTrip: null, path: null };
  for (const one of report.values()) {
    switch (one.type) {
      case 'inbound-rtp':
        countsOf(reading, report, one, {
          bytes: one.bytesReceived,
          packets: one.packetsReceived,
          lost: one.packetsLost,
          frames: one.framesDecoded,
        });
        break;
      case 'outbound-rtp':
        countsOf(reading, report, one, {
          bytes: one.bytesSent,
          packets: one.packetsSent,
          // The other side's report says what has arrived there.
          lost: report.get(one.remoteId)?.packetsLost,
          frames: one.framesSent ?? one.framesEncoded,
        });
        break;
      case 'transport':
        takePath(reading, report, report.get(one.selectedCandidatePairId));
        break;
      case 'candidate-pair':
        // Firefox does not say which pair a transport has selected.
        if (one.selected) takePath(reading, report, one);
        break;
    }
  }
  return reading;
}

/**
 * @param {Reading} reading
 * @param {ReadonlyMap<string, any>} report
 * @param {any} stream
 * @param {{ bytes?: number, packets?: number, lost?: number, frames?: number }} counted
 */
function countsOf(reading, report, stream, { bytes = 0, packets = 0, lost = 0, frames = 0 }) {
  // The page may have got a report that is a moment old.
  reading.at = stream.timestamp ?? reading.at;
  const kind = /** @type {MediaKind} */ (stream.kind);
  const before = reading.kinds[kind];
  const codec = report.get(stream.codecId)?.mimeType?.split('/')[1] ?? null;
  reading.kinds[kind] = {
    bytes: bytes + (before?.bytes ?? 0),
    packets: packets + (before?.packets ?? 0),
    lost: lost + (before?.lost ?? 0),
    frames: frames + (before?.frames ?? 0),
    width: stream.frameWidth ?? before?.width ?? 0,
    height: stream.frameHeight ?? before?.height ?? 0,
    codec: codec ?? before?.codec ?? null,
  };
}

/**
 * @param {Reading} reading
 * @param {ReadonlyMap<string, any>} report
 * @param {any} pair
 */
function takePath(reading, report, pair) {
  if (!pair) return;
  reading.roundTrip = pair.currentRoundTripTime ?? reading.roundTrip;
  const local = report.get(pair.localCandidateId);
  if (!local) return;
  reading.path = {
    transport: local.protocol === 'tcp' ? 'tcp' : 'udp',
    relay: local.candidateType === 'relay' ? (local.relayProtocol ?? 'udp') : null,
  };
}

/**
 * @param {Reading} before
 * @param {Reading} after
 * @returns {Rates}
 */
export function ratesOf(before, after) {
  const seconds = (after.at - before.at) / 1000;
  const { audio, video } = after.kinds;
  /**
   * @param {MediaKind} kind
   * @param {'bytes' | 'packets' | 'lost' | 'frames'} what
   * @returns {number} never less than nothing: a packet that comes late is taken back from the lost ones
   */
  const more = (kind, what) => Math.max(0, (after.kinds[kind]?.[what] ?? 0) - (before.kinds[kind]?.[what] ?? 0));
  const lost = more('audio', 'lost') + more('video', 'lost');
  const packets = more('audio', 'packets') + more('video', 'packets') + lost;
  return {
    size: video && video.width > 0 ? { width: video.width, height: video.height } : null,
    frames: video && seconds > 0 ? more('video', 'frames') / seconds : null,
    picture: video && seconds > 0 ? (8 * more('video', 'bytes')) / seconds : null,
    sound: audio && seconds > 0 ? (8 * more('audio', 'bytes')) / seconds : null,
    loss: packets > 0 ? lost / packets : null,
    roundTrip: after.roundTrip,
    codecs: [video?.codec, audio?.codec].filter((codec) => codec !== null && codec !== undefined),
    path: after.path,
  };
}
