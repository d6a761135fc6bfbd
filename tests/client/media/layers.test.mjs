// In which layers a picture is sent, and what becomes of them.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { layersOf, sendOnly, takesLayers, withoutLayers } from '../../../client/media/layers.js';
import { Publication } from '../../../client/media/publication.js';

const names = (layers) => layers.map(({ rid }) => rid).join('');

for (const [most, lines, expected] of [
  [3, 720, 'lmh'],
  [3, 540, 'lmh'],
  [3, 539, 'mh'],
  [3, 360, 'mh'],
  [3, 359, ''],
  [3, undefined, 'lmh'],
  [2, 720, 'mh'],
  [1, 720, ''],
])
  test(`a picture of ${lines} lines goes to a server that takes ${most} as '${expected}'`, () => {
    assert.equal(names(layersOf(most, lines)), expected);
  });

/** What a browser's sender and its transceiver do, as far as a publication needs it. */
class Sender {
  parameters = { encodings: [] };
  set = [];
  getParameters() {
    return structuredClone(this.parameters);
  }
  async setParameters(parameters) {
    this.parameters = parameters;
    this.set.push(parameters.encodings.map(({ rid, active }) => (active ? rid : '')).join(''));
  }
}

function published({ layers = 3, height = 720, source = 'camera' } = {}) {
  const track = { kind: 'video', getSettings: () => ({ height }) };
  const publication = new Publication({ layers }, () => 'p1', source, { getTracks: () => [track] });
  const sender = new Sender();
  const pc = {
    addTransceiver(trackOrKind, { sendEncodings = [{}] }) {
      if (trackOrKind === track) sender.parameters.encodings = sendEncodings.map((one) => ({ active: true, ...one }));
      return { sender };
    },
  };
  publication.prepare(pc);
  return { publication, sender };
}

test('a camera is sent in layers, and a screen is not', () => {
  assert.equal(names(published().sender.parameters.encodings), 'lmh');
  assert.deepEqual(published({ source: 'screen' }).sender.parameters.encodings, [{ active: true }]);
  assert.deepEqual(published({ layers: 1 }).sender.parameters.encodings, [{ active: true }]);
});

test('a server that takes no layers after all gets the picture in its own size', () => {
  const { publication, sender } = published();
  // The browser has dropped the others by then.
  sender.parameters.encodings.length = 1;
  publication.answered('v=0\r\na=rid:l recv\r\n');
  assert.deepEqual(sender.parameters.encodings, [{ active: true, rid: 'l' }]);
});

test('a server that takes layers gets them as they are', () => {
  const { publication, sender } = published();
  publication.answered('v=0\r\na=simulcast:recv l;m;h\r\n');
  assert.deepEqual(sender.set, []);
});

test('layers that nobody can use are not sent until somebody can', () => {
  const { publication, sender } = published();
  publication.useLayers({ stream: 'p1.camera', layers: ['l'] });
  publication.useLayers({ stream: 'p1.camera', layers: ['l'] });
  publication.useLayers({ stream: 'p1.camera', layers: ['l', 'h'] });
  assert.deepEqual(sender.set, ['l', 'lh']);
});

test('a picture in one layer is sent whatever is wanted', () => {
  const { publication, sender } = published({ layers: 1 });
  publication.useLayers({ stream: 'p1.camera', layers: [] });
  assert.deepEqual(sender.set, []);
  const parameters = { encodings: [{ active: true }] };
  assert.equal(sendOnly(parameters, []), false);
  assert.deepEqual(withoutLayers(parameters).encodings, [{ active: true }]);
});

test('an answer takes layers only by saying so', () => {
  assert.ok(takesLayers('v=0\r\na=simulcast:recv l;h\r\n'));
  assert.ok(!takesLayers('v=0\r\na=simulcast:send l;h\r\na=x:a=simulcast:recv l\r\n'));
});
