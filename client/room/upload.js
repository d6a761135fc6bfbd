// Brings a file to the chat: it is announced over the websocket, and its bytes go by HTTP to the address that the server
// names. XMLHttpRequest tells how much of them has gone, which fetch() does not.

import { ProtocolError } from '../wire/connection.js';

/** @import {Connection} from '../wire/connection.js' */
/** @import {ErrorCode} from '../wire/messages.d.ts' */

/**
 * `onprogress` gets how much of the file has gone, from 0 to 1. `signal` stops it. `name` is what the file is called.
 * @typedef {{ to?: string, replyTo?: number, name?: string, onprogress?: (part: number) => void, signal?: AbortSignal }} FileOptions
 */

/** Why the bytes could not be brought, although the server wanted them. */
export class UploadError extends Error {
  /** @param {'aborted' | 'proxy_refuses' | 'upload_slow' | 'upload_lost'} code */
  constructor(code) {
    super(code);
    this.name = 'UploadError';
    this.code = code;
  }
}

/** The answers of a proxy or of the server that need words of their own. @type {Record<number, UploadError['code']>} */
const STATUS = { 413: 'proxy_refuses', 408: 'upload_slow', 504: 'upload_slow' };

/**
 * @param {Connection} connection
 * @param {File | Blob} file
 * @param {FileOptions} [options]
 * @returns {Promise<void>} when the people have got the line with the file. It rejects with `ProtocolError`,
 *   `ConnectionLost` or `UploadError`
 */
export async function upload(connection, file, { to, replyTo, name, onprogress, signal } = {}) {
  if (signal?.aborted) throw new UploadError('aborted');
  const called = name || ('name' in file && file.name) || 'file';
  const about = { ...(to === undefined ? {} : { to }), ...(replyTo === undefined ? {} : { replyTo }) };
  const reply = await connection.request({ type: 'sendFile', name: shortened(called), size: file.size, ...about });
  // A path beside the websocket's, whatever prefix a proxy has put before both.
  const address = new URL(reply.path, connection.url);
  address.protocol = address.protocol.replace('ws', 'http');
  await put(address.href, file, onprogress, signal);
}

/**
 * @param {string} address
 * @param {Blob} file
 * @param {((part: number) => void) | undefined} onprogress
 * @param {AbortSignal | undefined} signal
 * @returns {Promise<void>}
 */
function put(address, file, onprogress, signal) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const stop = () => request.abort();
    signal?.addEventListener('abort', stop);
    request.upload.addEventListener('progress', ({ loaded, total }) => onprogress?.(total > 0 ? loaded / total : 1));
    request.addEventListener('abort', () => reject(new UploadError('aborted')));
    request.addEventListener('error', () => reject(new UploadError('upload_lost')));
    request.addEventListener('load', () => {
      if (request.status < 300) resolve();
      else reject(refused(request));
    });
    request.addEventListener('loadend', () => signal?.removeEventListener('abort', stop));
    request.open('PUT', address);
    // No type of the browser's choice, which would ask other servers for permission.
    request.setRequestHeader('Content-Type', 'application/octet-stream');
    request.send(file);
    if (signal?.aborted) stop();
  });
}

/** @param {XMLHttpRequest} request */
function refused({ status, responseText }) {
  try {
    const { code, detail } = /** @type {{ code: ErrorCode, detail: string }} */ (JSON.parse(responseText));
    if (typeof code === 'string') return new ProtocolError({ type: 'error', code, detail, message: 'sendFile' });
  } catch (error) {
    console.debug('an answer that is not the server’s', status, error);
  }
  return new UploadError(STATUS[status] ?? 'upload_lost');
}

/** @param {string} name cut to as many characters as a name may have, with its extension */
function shortened(name) {
  const most = 255;
  if (name.length <= most) return name;
  const dot = name.lastIndexOf('.');
  const end = dot > 0 && name.length - dot <= 32 ? name.slice(dot) : '';
  // Half a character would not be text.
  return (name.slice(0, most - end.length) + end).replace(/[\uD800-\uDBFF](?![\uDC00-\uDFFF])/g, '');
}
