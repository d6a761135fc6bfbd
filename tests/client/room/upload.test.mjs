// Given a file and a server, when it is sent to the chat, then it goes where the server says, or it is told why not.

import assert from 'node:assert/strict';
import test from 'node:test';
import { ProtocolError } from '../../../client/wire/connection.js';
import { upload, UploadError } from '../../../client/room/upload.js';

/** What was asked and sent, and what the server of the test answers. */
function stage({ status = 201, body = '', fails = '', url = 'wss://host/rooms/ws' } = {}) {
  const seen = { asked: /** @type {any} */ (null), address: '', method: '', aborted: false, parts: /** @type {number[]} */ ([]) };
  globalThis.XMLHttpRequest = /** @type {any} */ (
    class extends EventTarget {
      upload = new EventTarget();
      status = status;
      responseText = body;
      setRequestHeader() {}
      /** @param {string} method @param {string} address */
      open(method, address) {
        Object.assign(seen, { method, address });
      }
      abort() {
        seen.aborted = true;
        this.#end('abort');
      }
      send() {
        if (fails === 'never') return;
        queueMicrotask(() => {
          this.upload.dispatchEvent(Object.assign(new Event('progress'), { loaded: 1, total: 4 }));
          this.#end(fails || 'load');
        });
      }
      /** @param {string} how */
      #end(how) {
        this.dispatchEvent(new Event(how));
        this.dispatchEvent(new Event('loadend'));
      }
    }
  );
  const connection = /** @type {any} */ ({
    url,
    request: async (/** @type {any} */ message) => {
      seen.asked = message;
      return { type: 'upload', path: 'files/x', seconds: 60 };
    },
  });
  return { connection, seen };
}

const FILE = new File(['abcd'], 'a.txt');

/** @param {Promise<unknown>} promise */
const failure = (promise) => promise.then(() => assert.fail('it was sent'), (error) => error);

test('a file goes beside the websocket, under whatever path and with or without TLS', async () => {
  for (const [url, address] of [
    ['wss://host/rooms/ws', 'https://host/rooms/files/x'],
    ['ws://localhost:8080/ws', 'http://localhost:8080/files/x'],
  ]) {
    const { connection, seen } = stage({ url });
    await upload(connection, FILE, { to: 'p2', onprogress: (part) => seen.parts.push(part) });
    assert.deepEqual(seen.asked, { type: 'sendFile', name: 'a.txt', size: 4, to: 'p2' });
    assert.deepEqual([seen.method, seen.address, seen.parts], ['PUT', address, [0.25]]);
  }
});

test('a name that is too long keeps its extension, and a blob without one gets one', async () => {
  const { connection, seen } = stage();
  await upload(connection, new File([], `${'x'.repeat(250)}🦉🦉🦉.pdf`));
  assert.ok(seen.asked.name.length <= 255 && seen.asked.name.endsWith('.pdf') && seen.asked.name.isWellFormed());
  await upload(connection, new Blob(['x']));
  assert.equal(seen.asked.name, 'file');
});

test('what the server refuses is told by its code', async () => {
  const { connection } = stage({ status: 507, body: '{"code":"files_full","detail":"The disk is full."}' });
  const error = await failure(upload(connection, FILE));
  assert.ok(error instanceof ProtocolError);
  assert.deepEqual([error.code, error.message], ['files_full', 'The disk is full.']);
});

test('a proxy that refuses, a slow path and a broken one are told apart', async () => {
  for (const [how, code] of /** @type {const} */ ([
    [{ status: 413, body: '<html>413</html>' }, 'proxy_refuses'],
    [{ status: 408, body: 'too slow' }, 'upload_slow'],
    [{ status: 502, body: '' }, 'upload_lost'],
    [{ status: 0, fails: 'error' }, 'upload_lost'],
  ])) {
    const error = await failure(upload(stage(how).connection, FILE));
    assert.ok(error instanceof UploadError);
    assert.equal(error.code, code);
  }
});

test('it can be stopped before and while the bytes go', async () => {
  const before = stage();
  const stopped = await failure(upload(before.connection, FILE, { signal: AbortSignal.abort() }));
  assert.deepEqual([stopped.code, before.seen.asked], ['aborted', null]);
  const { connection, seen } = stage({ fails: 'never' });
  const stop = new AbortController();
  const sending = failure(upload(connection, FILE, { signal: stop.signal }));
  await new Promise(setImmediate);
  stop.abort();
  assert.deepEqual([(await sending).code, seen.aborted], ['aborted', true]);
});
