// In which layers the user's picture is sent (simulcast, RFC 8853), so that the media server can give each viewer one
// that suits the path and the size there. There is no I/O.

/** @typedef {{ rid: string, scaleResolutionDownBy: number, maxBitrate: number }} Layer */

/**
 * The smallest first, because a browser whose own path is slow sends the first ones. Bitrates are what a picture of
 * that size needs at 30 frames a second, in bit/s.
 * @type {readonly Layer[]}
 */
const LAYERS = [
  { rid: 'l', scaleResolutionDownBy: 4, maxBitrate: 100_000 },
  { rid: 'm', scaleResolutionDownBy: 2, maxBitrate: 400_000 },
  { rid: 'h', scaleResolutionDownBy: 1, maxBitrate: 1_700_000 },
];
/** A picture of fewer lines is sent in one layer only. */
const LEAST_LINES = 360;
/** A picture of fewer lines is sent without the smallest layer. */
const MANY_LINES = 540;

/**
 * @param {number} most how many layers the server takes
 * @param {number | undefined} lines of the picture; undefined: not known yet
 * @returns {Layer[]} none: the picture is sent in one layer, in its own size
 */
export function layersOf(most, lines = MANY_LINES) {
  const suitable = lines < LEAST_LINES ? 1 : lines < MANY_LINES ? 2 : 3;
  const count = Math.min(most, suitable);
  return count >= 2 ? LAYERS.slice(-count) : [];
}

/**
 * @param {string} answer an SDP answer
 * @returns {boolean} whether it takes layers
 */
export function takesLayers(answer) {
  return /^a=simulcast:recv /m.test(answer);
}

/**
 * Send the picture in its own size if the other side does not take layers. Only the first encoding is left then (W3C
 * WebRTC section 4.4.1.5), which is the smallest.
 * @param {RTCRtpSendParameters} parameters
 */
export function withoutLayers(parameters) {
  for (const encoding of parameters.encodings) {
    delete encoding.scaleResolutionDownBy;
    delete encoding.maxBitrate;
  }
  return parameters;
}

/**
 * Send these layers and no others.
 * @param {RTCRtpSendParameters} parameters
 * @param {readonly string[]} wanted their rids
 * @returns {boolean} whether that changes anything
 */
export function sendOnly(parameters, wanted) {
  let changed = false;
  for (const encoding of parameters.encodings) {
    const active = encoding.rid === undefined || wanted.includes(encoding.rid);
    changed ||= active !== encoding.active;
    encoding.active = active;
  }
  return changed;
}
