// Gets camera, microphone and screen from the browser, and watches which there are. page/words.js has the texts for
// refusals.

import { constraintsFor, screenOptions } from './choices.js';

/** @import {Choices} from './choices.js' */

/** @typedef {'camera' | 'microphone' | 'screen'} Capture */

/** The browser did not give access to a device. */
export class DeviceError extends Error {
  /**
   * @param {Capture} what was asked for
   * @param {string} reason `insecure_page`: browsers give devices to pages by https or from this computer only;
   * `unsupported` if this browser cannot do it, or else the name of the error of getUserMedia or getDisplayMedia
   *   (W3C Media Capture and Streams, section 10.2)
   * @param {unknown} [cause] that error
   */
  constructor(what, reason, cause = null) {
    super(cause instanceof Error ? cause.message : String(cause ?? reason), { cause });
    this.name = 'DeviceError';
    this.what = what;
    this.reason = reason;
  }
}

/** Whether this browser can send and receive media at all. */
export function hasWebRTC() {
  return typeof RTCPeerConnection !== 'undefined';
}

/**
 * @param {Capture} what
 * @param {Choices} choices
 * @returns {Promise<MediaStream>} of a screen: with its sound, if there is one; rejects with `DeviceError`
 */
export async function capture(what, choices) {
  const devices = globalThis.navigator?.mediaDevices;
  if (!devices) throw new DeviceError(what, globalThis.isSecureContext === false ? 'insecure_page' : 'unsupported');
  if (what === 'screen' && !devices.getDisplayMedia) throw new DeviceError(what, 'unsupported');
  try {
    if (what === 'screen') {
      const stream = await devices.getDisplayMedia(screenOptions(choices));
      // The browser keeps letters sharp, or movement smooth, where it cannot have both (W3C mst-content-hint).
      for (const track of stream.getVideoTracks()) track.contentHint = choices.screen;
      return stream;
    }
    return await devices.getUserMedia(constraintsFor(what, choices));
  } catch (error) {
    throw new DeviceError(what, error instanceof Error ? error.name : '', error);
  }
}

/** @typedef {{ id: string, label: string }} Found */
/** @typedef {{ camera: Found[], microphone: Found[], speaker: Found[] }} FoundDevices */

/** @type {Record<MediaDeviceKind, keyof FoundDevices>} */
const KINDS = { videoinput: 'camera', audioinput: 'microphone', audiooutput: 'speaker' };

/**
 * @returns {Promise<FoundDevices>} the devices that there are. Until the user has allowed one of a kind, the browser
 *   tells neither their ids nor their names
 */
export async function findDevices() {
  /** @type {FoundDevices} */
  const found = { camera: [], microphone: [], speaker: [] };
  try {
    for (const { kind, deviceId, label } of (await navigator.mediaDevices?.enumerateDevices()) ?? [])
      found[KINDS[kind]]?.push({ id: deviceId, label });
  } catch (error) {
    console.debug('the devices cannot be listed', error);
  }
  return found;
}

/**
 * @param {() => void} changed called when a device came or went
 * @returns {() => void} ends it
 */
export function watchDevices(changed) {
  const devices = globalThis.navigator?.mediaDevices;
  devices?.addEventListener?.('devicechange', changed);
  return () => devices?.removeEventListener?.('devicechange', changed);
}

/** In these states of a permission, the browser asks the user nothing. @type {ReadonlySet<PermissionState>} */
const GIVEN = new Set(/** @type {const} */ (['granted']));

/** @param {PermissionStatus | null} permission */
export function isGiven(permission) {
  return permission !== null && GIVEN.has(permission.state);
}

/**
 * @param {'camera' | 'microphone'} what
 * @returns {Promise<PermissionStatus | null>} null: this browser does not tell
 */
export async function permissionOf(what) {
  if (!globalThis.navigator?.permissions) return null;
  try {
    return await navigator.permissions.query({ name: /** @type {PermissionName} */ (what) });
  } catch (error) {
    console.debug('permissions are not told', error);
    return null;
  }
}
