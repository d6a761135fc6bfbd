// What the user chose about devices, and the constraints (W3C Media Capture and Streams) that follow from it. There
// is no I/O.

/**
 * Ids are those of the browser for this site, and empty for the browser's choice. `camera` may also be a side of a
 * phone, `side:user` or `side:environment`. `picture` is the size that the camera sends. `screen` says what a shared
 * screen mostly shows.
 * @typedef {{
 *   camera: string,
 *   microphone: string,
 *   speaker: string,
 *   echo: boolean,
 *   noise: boolean,
 *   gain: boolean,
 *   picture: Picture,
 *   screen: 'text' | 'motion',
 * }} Choices
 */

/** @typedef {'high' | 'standard' | 'low'} Picture */

/** All are ideals: a browser reduces them if the camera, the computer or the network cannot keep up. @type {Record<Picture, { width: number, height: number }>} */
const SIZES = {
  high: { width: 1280, height: 720 },
  standard: { width: 640, height: 480 },
  low: { width: 320, height: 240 },
};

/** @type {readonly Picture[]} */
export const PICTURES = ['high', 'standard', 'low'];
const SIDE = 'side:';
/** The two sides of a phone as values of `camera`. */
export const SIDES = /** @type {const} */ (['side:user', 'side:environment']);
/** With fewer processors than this, encoding 720p takes what the pictures of the others need. */
const PROCESSORS = 3;

/**
 * @param {unknown} stored what a browser remembered, perhaps of another version of this page
 * @param {number} processors of the computer
 * @returns {Choices}
 */
export function choicesFrom(stored, processors) {
  /** @type {Choices} */
  const choices = {
    camera: '',
    microphone: '',
    speaker: '',
    echo: true,
    noise: true,
    gain: true,
    picture: processors < PROCESSORS ? 'standard' : 'high',
    screen: 'text',
  };
  const given = /** @type {Record<string, unknown>} */ (typeof stored === 'object' && stored !== null ? stored : {});
  for (const key of /** @type {const} */ (['camera', 'microphone', 'speaker'])) {
    const value = given[key];
    if (typeof value === 'string') choices[key] = value;
  }
  for (const key of /** @type {const} */ (['echo', 'noise', 'gain'])) {
    const value = given[key];
    if (typeof value === 'boolean') choices[key] = value;
  }
  const picture = PICTURES.find((known) => known === given['picture']);
  if (picture) choices.picture = picture;
  if (given['screen'] === 'motion') choices.screen = 'motion';
  return choices;
}

/**
 * @param {'camera' | 'microphone'} what
 * @param {Choices} choices
 * @returns {MediaStreamConstraints}
 */
export function constraintsFor(what, choices) {
  return what === 'camera' ? { video: cameraConstraints(choices) } : { audio: microphoneConstraints(choices) };
}

/**
 * @param {Choices} choices
 * @returns {MediaTrackConstraints}
 */
function cameraConstraints({ camera, picture }) {
  const { width, height } = SIZES[picture];
  return {
    width: { ideal: width },
    height: { ideal: height },
    frameRate: { ideal: 30 },
    ...(camera.startsWith(SIDE) ? { facingMode: { ideal: camera.slice(SIDE.length) } } : idOf(camera)),
  };
}

/**
 * @param {Choices} choices
 * @returns {MediaTrackConstraints}
 */
function microphoneConstraints({ microphone, echo, noise, gain }) {
  return {
    echoCancellation: echo,
    noiseSuppression: noise,
    autoGainControl: gain,
    ...idOf(microphone),
  };
}

/** @param {string} id only an ideal: if this device is not there any more, another one is better than none */
function idOf(id) {
  return id === '' ? {} : { deviceId: { ideal: id } };
}

/**
 * @param {Choices} choices
 * @returns {DisplayMediaStreamOptions}
 */
export function screenOptions({ screen }) {
  return {
    video: { frameRate: screen === 'motion' ? { ideal: 30, max: 30 } : { ideal: 15, max: 30 } },
    audio: true,
  };
}

/**
 * @param {Choices} before
 * @param {Choices} after
 * @param {'camera' | 'microphone'} what
 * @returns {boolean} whether the device must be started anew
 */
export function changes(before, after, what) {
  return JSON.stringify(constraintsFor(what, before)) !== JSON.stringify(constraintsFor(what, after));
}
