// In which layers a picture is sent, and what becomes of them.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { layersOf, shape, takesLayers, withoutLayers } from '../../../client/media/layers.js';
import { Publication } from '../../../client/media/publication.js';

/** The layers that are sent, each with how many times smaller it is. */
const sent = (layers) =>
  layers
    .filter(({ active }) => active)
    .map(({ rid, scaleResolutionDownBy }) => `${rid}${scaleResolutionDownBy}`)
    .join(' ');

for (const [most, width, height, expected] of [
  [3, 1280, 720, 'l4 m2 h1'],
  [3, 720, 1280, 'l4 m2 h1'],
  [3, 960, 540, 'l4 m2 h1'],
  [3, 640, 480, 'l2 m1'],
  [3, 480, 270, 'l2 m1'],
  [3, 320, 240, 'l1'],
  [2, 1280, 720, 'l2 m1'],
  [1, 1280, 720, ''],
])
  test(`a picture of ${width}x${height} goes to a server that takes ${most} layers as '${expected}'`, () => {
    assert.equal(sent(layersOf(most, width * height)), expected);
  });

test('a picture that is not known yet is taken for a large one', () => {
  assert.equal(sent(layersOf(3)), 'l4 m2 h1');
});

test('a larger layer may use more', () => {
  const bitrates = layersOf(3, 1280 * 720).map(({ maxBitrate }) => maxBitrate);
  assert.deepEqual(bitrates, [...bitrates].sort((one, other) => one - other));
  assert.equal(new Set(bitrates).size, 3);
});

/** What a browser's sender and its transceiver do, as far as a publication needs it. */
const settle = () => new Promise((resolve) => setImmediate(resolve));

class Sender {
  parameters = { encodings: [] };
  set = [];
  getParameters() {
    return structuredClone(this.parameters);
  }
  async setParameters(parameters) {
    this.parameters = parameters;
    this.set.push(sent(parameters.encodings));
  }
  async replaceTrack() {}
}

const picture = (width, height) => ({ kind: 'video', getSettings: () => ({ width, height }) });

function published({ layers = 3, track = picture(1280, 720), source = 'camera' } = {}) {
  const tracks = new Set(track ? [track] : []);
  const stream = {
    getTracks: () => [...tracks],
    addTrack: (one) => tracks.add(one),
    removeTrack: (one) => tracks.delete(one),
  };
  const publication = new Publication({ layers }, () => 'p1', source, stream);
  const sender = new Sender();
  const pc = {
    addTransceiver(trackOrKind, { sendEncodings = [{ active: true }] }) {
      if (trackOrKind !== 'audio') sender.parameters.encodings = sendEncodings.map((one) => ({ ...one }));
      return { sender: trackOrKind === 'audio' ? new Sender() : sender };
    },
  };
  publication.prepare(pc);
  return { publication, sender };
}

test('a camera is sent in layers, and a screen is not', () => {
  assert.equal(sent(published().sender.parameters.encodings), 'l4 m2 h1');
  assert.deepEqual(published({ source: 'screen' }).sender.parameters.encodings, [{ active: true }]);
  assert.deepEqual(published({ layers: 1 }).sender.parameters.encodings, [{ active: true }]);
});

test('a camera that is turned on later has its layers shaped for it', async () => {
  const { publication, sender } = published({ track: null });
  for (const track of [picture(640, 480), null, picture(1280, 720), picture(320, 240)]) {
    publication.put('video', track);
    await settle();
  }
  assert.deepEqual(sender.set, ['l2 m1', 'l4 m2 h1', 'l1']);
});

test('a server that takes no layers after all gets the picture in its own size', async () => {
  const { publication, sender } = published();
  // The browser has dropped the others by then.
  sender.parameters.encodings.length = 1;
  publication.answered({ sdp: 'v=0\r\na=rid:l recv\r\n' });
  await settle();
  assert.deepEqual(sender.parameters.encodings, [{ active: true, rid: 'l' }]);
  publication.put('video', picture(320, 240));
  publication.useLayers({ stream: 'p1.camera', layers: [] });
  await settle();
  assert.deepEqual(sender.parameters.encodings, [{ active: true, rid: 'l' }]);
});

test('a server that takes layers gets them as they are', async () => {
  const { publication, sender } = published();
  publication.answered({ sdp: 'v=0\r\na=simulcast:recv l;m;h\r\n' });
  await settle();
  assert.deepEqual(sender.set, []);
});

const TAKEN = 'v=0\r\na=simulcast:recv l;m;h\r\n';
const told = (...layers) => ({ stream: 'p1.camera', layers });

test('layers that nobody can use are not sent until somebody can', async () => {
  const { publication, sender } = published();
  publication.answered({ sdp: TAKEN });
  for (const layers of [['l'], ['l'], ['l', 'h']]) {
    publication.useLayers(told(...layers));
    await settle();
  }
  publication.put('video', picture(640, 480));
  await settle();
  publication.useLayers(told('l', 'm'));
  await settle();
  assert.deepEqual(sender.set, ['l4', 'l4 h1', 'l2', 'l2 m1']);
});

test('of several wishes the last one is fulfilled, however long the browser takes', async () => {
  const { publication, sender } = published();
  const { setParameters } = sender;
  sender.setParameters = async (parameters) => {
    await settle();
    await setParameters.call(sender, parameters);
  };
  publication.answered({ sdp: TAKEN });
  publication.useLayers(told('l'));
  await Promise.resolve();
  publication.useLayers(told('l', 'm', 'h'));
  for (let turn = 0; turn < 5; turn += 1) await settle();
  assert.equal(sent(sender.parameters.encodings), 'l4 m2 h1');
});

test('a new connection begins with all layers, whatever is still told of the one before', async () => {
  const { publication } = published();
  publication.answered({ sdp: TAKEN });
  publication.useLayers(told('l'));
  const sender = new Sender();
  publication.prepare({
    addTransceiver: (_, { sendEncodings = [] }) => {
      sender.parameters.encodings = sendEncodings;
      return { sender };
    },
  });
  publication.useLayers(told('l'));
  await settle();
  publication.put('video', picture(640, 480));
  await settle();
  assert.deepEqual(sender.set, ['l2 m1']);
});

test('a picture in one layer is sent whatever is wanted', async () => {
  const { publication, sender } = published({ layers: 1 });
  publication.answered({ sdp: 'v=0\r\n' });
  publication.useLayers({ stream: 'p1.camera', layers: [] });
  await settle();
  assert.deepEqual(sender.set, []);
  const parameters = { encodings: [{ active: true }] };
  assert.equal(shape(parameters, 1, []), false);
  assert.deepEqual(withoutLayers(parameters).encodings, [{ active: true }]);
});

test('an answer takes layers only by saying so', () => {
  assert.ok(takesLayers('v=0\r\na=simulcast:recv l;h\r\n'));
  assert.ok(!takesLayers('v=0\r\na=simulcast:send l;h\r\na=x:a=simulcast:recv l\r\n'));
});
