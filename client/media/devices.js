// Gets camera, microphone and screen from the browser. page/words.js has the texts for refusals.

const CAMERA = { width: { ideal: 640 }, height: { ideal: 480 }, frameRate: { ideal: 30 } };
const SCREEN = { frameRate: { ideal: 15, max: 30 } };

/**
 * @typedef {'camera' | 'microphone' | 'screen'} Capture `camera`: with the microphone, if there is one
 */

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

/**
 * @param {Capture} what
 * @returns {Promise<{stream: MediaStream, noMicrophone: boolean}>} rejects with `DeviceError`; `noMicrophone`: none
 *   was found, so that the camera comes without sound
 */
export async function capture(what) {
  const devices = navigator.mediaDevices;
  if (!devices) throw new DeviceError(what, 'insecure_page');
  if (what === 'screen' && !devices.getDisplayMedia) throw new DeviceError(what, 'unsupported');
  try {
    if (what === 'screen') {
      const stream = await devices.getDisplayMedia({ video: SCREEN, audio: true });
      return { stream, noMicrophone: false };
    }
    if (what === 'camera' && !(await hasMicrophone(devices))) {
      const stream = await devices.getUserMedia({ video: CAMERA });
      return { stream, noMicrophone: true };
    }
    const stream = await devices.getUserMedia({ audio: true, video: what === 'camera' ? CAMERA : false });
    return { stream, noMicrophone: false };
  } catch (error) {
    throw new DeviceError(what, error instanceof Error ? error.name : '', error);
  }
}

/** @param {MediaDevices} devices */
async function hasMicrophone(devices) {
  const list = await devices.enumerateDevices();
  return list.some((device) => device.kind === 'audioinput');
}
