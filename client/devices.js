// Camera, microphone and screen: asked of the browser, its refusals told in words.

const CAMERA = { width: { ideal: 640 }, height: { ideal: 480 }, frameRate: { ideal: 30 } };
const SCREEN = { frameRate: { ideal: 15, max: 30 } };

/** A device was not given; the message is for the user. */
export class DeviceError extends Error {
  /**
   * @param {string} message
   * @param {unknown} cause
   */
  constructor(message, cause) {
    super(message, { cause });
    this.name = 'DeviceError';
  }
}

/**
 * @typedef {'camera' | 'microphone' | 'screen'} Capture `camera`: with the microphone, if there is one
 */

/**
 * @param {Capture} what
 * @returns {Promise<{stream: MediaStream, remark: string | null}>} rejects with `DeviceError`
 */
export async function capture(what) {
  const devices = navigator.mediaDevices;
  if (!devices) {
    throw new DeviceError(
      'The browser lets a page use the camera, the microphone or the screen only over https or on this very ' +
        'computer. Open this page by its https address.',
      null,
    );
  }
  if (what === 'screen' && !devices.getDisplayMedia) {
    throw new DeviceError('This browser cannot share the screen.', null);
  }
  try {
    if (what === 'screen') {
      const stream = await devices.getDisplayMedia({ video: SCREEN, audio: true });
      return { stream, remark: null };
    }
    if (what === 'camera' && !(await hasMicrophone(devices))) {
      const stream = await devices.getUserMedia({ video: CAMERA });
      return { stream, remark: 'No microphone was found. You send only the picture.' };
    }
    const stream = await devices.getUserMedia({ audio: true, video: what === 'camera' ? CAMERA : false });
    return { stream, remark: null };
  } catch (error) {
    throw new DeviceError(refusalInWords(what, error), error);
  }
}

/** @param {MediaDevices} devices */
async function hasMicrophone(devices) {
  const list = await devices.enumerateDevices();
  return list.some((device) => device.kind === 'audioinput');
}

/**
 * @param {Capture} what
 * @param {unknown} error of getUserMedia or getDisplayMedia (W3C Media Capture and Streams, section 10.2)
 */
export function refusalInWords(what, error) {
  const name = error instanceof Error ? error.name : '';
  const device = { camera: 'camera and microphone', microphone: 'microphone', screen: 'screen' }[what];
  switch (name) {
    case 'NotAllowedError':
    case 'SecurityError':
      return what === 'screen'
        ? 'The screen is not shared, because you did not allow it or did not choose a window.'
        : `The browser may not use the ${device}. Allow it in the address bar, then try again.`;
    case 'NotFoundError':
      return what === 'camera'
        ? 'No camera was found. “Microphone only” may work.'
        : `No ${device} was found.`;
    case 'NotReadableError':
      return `The ${device} cannot be used. Perhaps another program is using it.`;
    case 'OverconstrainedError':
      return `The ${device} does not support the settings that this page needs.`;
    case 'AbortError':
      return `The ${device} stopped working while it was being started. Try again.`;
    default:
      return `The ${device} could not be started (${error instanceof Error ? error.message : String(error)}).`;
  }
}
