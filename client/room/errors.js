// The one kind of error that the library's methods reject with. Each has a code for programs and a sentence for
// people. Codes of the server are those of docs/protocol.md; the others stand here.

import { ConnectionLost, ProtocolError } from '../wire/connection.js';
import { DeviceError } from '../media/devices.js';
import { LinkFailure } from '../media/link.js';
import { UploadError } from './upload.js';

/** What went wrong on this side, by code. */
const SENTENCES = {
  bad_address: 'The address of the server is not an http or https address.',
  insecure_server: 'A page that was loaded by https can connect only to a server with https.',
  insecure_page: 'Browsers give camera, microphone and screen only to pages by https or from this computer.',
  no_webrtc: 'This browser has no WebRTC, so it can neither send nor receive media.',
  unsupported: 'This browser cannot give that device.',
  device_blocked: 'The user or the browser does not allow this page to use the device.',
  device_missing: 'There is no such device.',
  device_busy: 'The device cannot be read. Another program may be using it.',
  already_shared: 'A screen is already shared, or being chosen.',
  device_failed: 'The device could not be started.',
  nothing_to_send: 'There is no camera, microphone, screen or track to send.',
  not_inside: 'You are in no room.',
  left: 'The room was left before that was done.',
  stopped: 'It was stopped before it reached the room.',
  connection_lost: 'The connection to the server is lost.',
  connection_ended: 'The server has ended the connection.',
  offline: 'This device has no network.',
  unreachable:
    'Nothing answers at the address of the server. Perhaps it is not running, or the Content-Security-Policy of this page does not allow the connection.',
  away: 'Something answers at the address, but it is not a roomfsm server.',
  origin: 'The server does not let pages of this origin connect (its setting --allow-origin).',
  full: 'The server is full.',
  noUpgrade: 'A proxy between the browser and the server does not pass on websockets.',
  no_media_path: 'No media reach the media server or come from it. A firewall may block UDP.',
  ice_servers: 'The browser does not accept the ICE servers that the server names.',
  aborted: 'It was stopped.',
  proxy_refuses: 'A proxy between the browser and the server does not let a file of this size through.',
  upload_slow: 'The file took too long.',
  upload_lost: 'The file did not reach the server.',
  failed: 'The media server has ended the stream.',
};

/** Errors of getUserMedia and getDisplayMedia (W3C Media Capture and Streams, section 10.2). @type {Record<string, string>} */
const DEVICE_CODES = {
  insecure_page: 'insecure_page',
  unsupported: 'unsupported',
  already_shared: 'already_shared',
  NotAllowedError: 'device_blocked',
  SecurityError: 'device_blocked',
  NotFoundError: 'device_missing',
  OverconstrainedError: 'device_missing',
  NotReadableError: 'device_busy',
  AbortError: 'device_busy',
};

export class RoomfsmError extends Error {
  /**
   * @param {string} code a code of the server (docs/protocol.md) or of this library (docs/embed.md)
   * @param {string} [sentence] what it means; without it, the library's own words
   * @param {unknown} [cause] the error from which it was made
   */
  constructor(code, sentence, cause) {
    super(sentence || (Object.hasOwn(SENTENCES, code) ? SENTENCES[/** @type {keyof typeof SENTENCES} */ (code)] : code), {
      cause,
    });
    this.name = 'RoomfsmError';
    this.code = code;
  }
}

/**
 * @param {unknown} error any error of a room or its media
 * @returns {RoomfsmError}
 */
export function asRoomfsmError(error) {
  if (error instanceof RoomfsmError) return error;
  if (error instanceof ProtocolError) return new RoomfsmError(error.code, error.message, error);
  if (error instanceof UploadError) return new RoomfsmError(error.code, '', error);
  if (error instanceof ConnectionLost) return new RoomfsmError('connection_lost', '', error);
  if (error instanceof LinkFailure) return new RoomfsmError(error.code, '', error);
  if (error instanceof DeviceError) return new RoomfsmError(DEVICE_CODES[error.reason] ?? 'device_failed', '', error);
  return new RoomfsmError('failed', error instanceof Error ? error.message : String(error), error);
}
