// In which layers the user's picture is sent (simulcast, RFC 8853), so that the media server can give each viewer one
// that suits the path and the size there. There is no I/O.
//
// How many there are is settled when the connection is made, and the picture may have another size later, when the
// user turns the camera on or chooses another one. So there are always as many encodings as the server takes, and they
// are shaped for the size: the last one that is used has the picture's own size, each one before it half of the next,
// and the rest are not sent. Chromium by itself would leave out the largest ones of a small picture.

/** Of `RTCRtpEncodingParameters`. @typedef {{ rid: string, active: boolean, scaleResolutionDownBy: number, maxBitrate: number }} Layer */

/** The smallest first, because a browser whose own path is slow sends the first ones. */
const RIDS = ['l', 'm', 'h'];
/** From so many pixels on, so many layers are of use, as Chromium sees it. @type {readonly (readonly [number, number])[]} */
const COUNTS = [
  [960 * 540, 3],
  [480 * 270, 2],
  [0, 1],
];
/** What a layer of so many pixels may use at most, in bit/s. @type {readonly (readonly [number, number])[]} */
const BITRATES = [
  [960 * 540, 1_700_000],
  [600 * 450, 700_000],
  [480 * 270, 400_000],
  [0, 90_000],
];

/** The size of a picture that is not known yet. */
const LIKELY = 1280 * 720;

/**
 * @param {number} most how many layers the server takes
 * @param {number} [pixels] of the picture
 * @returns {Layer[]} none: the picture is sent in one layer, in its own size
 */
export function layersOf(most, pixels = LIKELY) {
  if (!(most >= 2)) return [];
  const rids = RIDS.slice(0, most);
  const used = Math.min(rids.length, valueAt(COUNTS, pixels));
  return rids.map((rid, index) => {
    const scaleResolutionDownBy = 2 ** Math.max(0, used - 1 - index);
    const maxBitrate = valueAt(BITRATES, pixels / scaleResolutionDownBy ** 2);
    return { rid, active: index < used, scaleResolutionDownBy, maxBitrate };
  });
}

/**
 * Shape the layers for the size of the picture, and send only those of them that are wanted.
 * @param {RTCRtpSendParameters} parameters
 * @param {number} [pixels] of the picture
 * @param {readonly string[]} [wanted] the rids of those that viewers can use; by default all
 * @returns {boolean} whether that changes anything
 */
export function shape(parameters, pixels, wanted = RIDS) {
  let changed = false;
  const layers = layersOf(parameters.encodings.length, pixels);
  for (const encoding of parameters.encodings) {
    const layer = layers.find(({ rid }) => rid === encoding.rid);
    if (!layer) continue;
    const shaped = { ...layer, active: layer.active && wanted.includes(layer.rid) };
    for (const key of /** @type {const} */ (['active', 'scaleResolutionDownBy', 'maxBitrate']))
      changed ||= encoding[key] !== shaped[key];
    Object.assign(encoding, shaped);
  }
  return changed;
}

/**
 * @param {readonly (readonly [number, number])[]} table
 * @param {number} pixels
 */
function valueAt(table, pixels) {
  return table.find(([least]) => pixels >= least)?.[1] ?? 0;
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
    encoding.active = true;
  }
  return parameters;
}
