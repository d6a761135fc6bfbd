// What is sent: given camera and microphone that come and go, when they change, then one stream carries both.

import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { Presenting } from '../../../client/media/presenting.js';
import { ProtocolError } from '../../../client/wire/connection.js';
import { Emitter } from '../../../client/wire/emitter.js';
import { settle, Stream, Track } from './browser.mjs';

/** What the test has made. It leaves at the test's end, so that its attempts and timers do not go on. */
const presented = [];
afterEach(() => presented.splice(0).forEach((made) => made.leave()));

/** A peer connection that remembers what its sections send. */
class PeerConnection extends EventTarget {
  static all = [];
  connectionState = 'new';
  localDescription = { sdp: 'v=0' };
  sections = {};

  constructor() {
    super();
    PeerConnection.all.push(this);
  }

  addTransceiver(trackOrKind) {
    const track = typeof trackOrKind === 'string' ? null : trackOrKind;
    const section = { track, replaceTrack: async (next) => void (section.track = next) };
    this.sections[track?.kind ?? trackOrKind] = section;
    return { sender: section };
  }

  getTransceivers() {
    return [];
  }

  async createOffer() {
    return { sdp: 'v=0' };
  }

  async setLocalDescription() {}
  async setRemoteDescription() {}
  close() {}

  connects() {
    this.connectionState = 'connected';
    this.dispatchEvent(new Event('connectionstatechange'));
  }
}
globalThis.RTCPeerConnection = PeerConnection;
globalThis.MediaStream = Stream;

function presenting(answer = async () => ({ sdp: 'v=0' })) {
  PeerConnection.all = [];
  const asked = [];
  const connection = Object.assign(new Emitter(), {
    ready: true,
    iceServers: [],
    request: ({ type }) => {
      asked.push(type);
      return answer(type);
    },
    send() {},
  });
  const tracks = {};
  const refusals = {};
  Object.defineProperty(globalThis, 'navigator', {
    configurable: true,
    value: {
      mediaDevices: {
        getUserMedia: async ({ audio }) => {
          const kind = audio ? 'audio' : 'video';
          if (refusals[kind]) throw Object.assign(new Error(kind), { name: refusals[kind] });
          return new Stream([(tracks[kind] = new Track(kind))]);
        },
        getDisplayMedia: async () => {
          tracks.screen = new Track('video');
          tracks.screenSound = new Track('audio');
          return new Stream([tracks.screen, tracks.screenSound]);
        },
        enumerateDevices: async () => [],
      },
    },
  });
  const made = new Presenting(connection, () => 'p1');
  presented.push(made);
  const told = [];
  made.on('news', ({ what }) => told.push(what));
  const { camera, microphone } = made.devices;
  return { made, camera, microphone, asked, tracks, refusals, told, peer: () => PeerConnection.all.at(-1) };
}

async function inRoom(answer) {
  const all = presenting(answer);
  all.made.startAnew();
  return all;
}

const sends = (peer) => [peer.sections.audio?.track?.kind ?? null, peer.sections.video?.track?.kind ?? null];

test('a stream of the program is sent instead of what the devices give, and its tracks stay the program’s', async () => {
  const { made, microphone, camera, peer } = await inRoom();
  const [sound, picture] = [new Track('audio'), new Track('video')];
  for (const kind of made.give(new Stream([sound, picture]))) made.devices[kind].turnOn();
  await settle();
  assert.deepEqual(sends(peer()), ['audio', 'video']);
  assert.deepEqual([microphone.track.copyOf, camera.track.copyOf], [sound, picture]);
  microphone.turnOff();
  assert.equal(sound.readyState, 'live');
  microphone.turnOn();
  await settle();
  assert.equal(microphone.track.copyOf, sound);
  const other = new Track('audio');
  made.give(new Stream([other]));
  await settle();
  assert.equal(microphone.track.copyOf, other);
  made.forgetGiven();
  camera.turnOff();
  camera.turnOn();
  await settle();
  assert.equal(camera.track.copyOf, undefined);
});

test('what is on before a room is entered is sent when it is entered', async () => {
  const { made, camera, asked, peer } = presenting();
  camera.turnOn();
  await settle();
  assert.deepEqual(asked, []);
  made.startAnew();
  await settle();
  assert.deepEqual([asked, sends(peer())], [['publish'], [null, 'video']]);
});

test('a microphone, then a camera, then neither, are one stream and one offer', async () => {
  const { made, camera, microphone, asked, tracks, peer } = await inRoom();
  microphone.turnOn();
  await settle();
  assert.deepEqual(sends(peer()), ['audio', null]);
  camera.turnOn();
  await settle();
  assert.deepEqual(sends(peer()), ['audio', 'video']);
  microphone.turnOff();
  await settle();
  assert.deepEqual([sends(peer()), tracks.audio.readyState], [[null, 'video'], 'ended']);
  camera.turnOff();
  await settle();
  assert.deepEqual([sends(peer()), tracks.video.readyState], [[null, null], 'ended']);
  microphone.turnOn();
  await settle();
  assert.deepEqual(sends(peer()), ['audio', null]);
  assert.deepEqual([asked, PeerConnection.all.length, made.publications.size], [['publish'], 1, 1]);
});

test('one that is blocked does not keep the other from being sent', async () => {
  for (const [blocked, sent] of [
    ['video', ['audio', null]],
    ['audio', [null, 'video']],
  ]) {
    const { camera, microphone, refusals, told, peer } = await inRoom();
    refusals[blocked] = 'NotAllowedError';
    camera.turnOn();
    microphone.turnOn();
    await settle();
    assert.deepEqual([sends(peer()), told], [sent, ['deviceRefused']]);
  }
});

test('a camera that is unplugged takes only the picture away', async () => {
  const { camera, microphone, tracks, told, asked, peer } = await inRoom();
  camera.turnOn();
  microphone.turnOn();
  await settle();
  tracks.video.end();
  await settle();
  assert.deepEqual([sends(peer()), told, asked], [['audio', null], ['deviceLost'], ['publish']]);
});

test('a stream that only had a picture ends with it; one with sound is kept for five minutes', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout', 'Date'] });
  const { made, camera, microphone, asked } = await inRoom();
  camera.turnOn();
  await settle();
  camera.turnOff();
  await settle();
  assert.deepEqual([asked, made.publications.size], [['publish', 'unpublish'], 0]);
  microphone.turnOn();
  await settle();
  microphone.turnOff();
  t.mock.timers.tick(299_999);
  await settle();
  assert.equal(made.publications.size, 1);
  t.mock.timers.tick(1);
  await settle();
  assert.deepEqual([made.publications.size, asked.at(-1)], [0, 'unpublish']);
});

test('at the presenters’ bound the devices are let go at once, and it is told once', async () => {
  const { made, camera, microphone, asked, tracks, told } = await inRoom(async (type) => {
    if (type !== 'publish') return {};
    throw new ProtocolError({ type: 'error', code: 'too_many_presenters', detail: '', message: type });
  });
  camera.turnOn();
  microphone.turnOn();
  await settle();
  await settle();
  assert.deepEqual([camera.state, microphone.state, made.publications.size], ['off', 'off', 0]);
  assert.deepEqual([tracks.video.readyState, tracks.audio.readyState], ['ended', 'ended']);
  assert.deepEqual([told, asked], [['noPlace'], ['publish']]);
});

test('a stream that has worked is tried again at the bound, which its own lost session may fill', async () => {
  let refused = false;
  const { made, camera, asked, told, peer } = await inRoom(async (type) => {
    if (refused && type === 'publish')
      throw new ProtocolError({ type: 'error', code: 'too_many_presenters', detail: '', message: type });
    return { sdp: 'v=0' };
  });
  camera.turnOn();
  await settle();
  peer().connects();
  refused = true;
  made.startAnew();
  await settle();
  assert.deepEqual([camera.state, made.publications.get('camera').state], ['on', 'waiting']);
  assert.deepEqual([told, asked], [['publishFailed'], ['publish', 'publish']]);
  made.leave();
});

test('camera and microphone go along to another room, and a screen does not', async () => {
  const { made, camera, tracks, asked } = await inRoom();
  camera.turnOn();
  await made.share();
  await settle();
  made.leave({ along: true });
  assert.deepEqual([camera.state, tracks.video.readyState, tracks.screen.readyState], ['on', 'live', 'ended']);
  made.startAnew();
  await settle();
  assert.deepEqual(asked, ['publish', 'publish', 'publish']);
  made.leave();
  assert.deepEqual([camera.state, tracks.video.readyState, made.publications.size], ['off', 'ended', 0]);
});

test('a moderator who ends the camera turns off both devices', async () => {
  const { made, camera, microphone } = await inRoom();
  camera.turnOn();
  microphone.turnOn();
  await settle();
  made.ended('p1.camera', 'moderator');
  assert.deepEqual([camera.state, microphone.state, made.publications.size], ['off', 'off', 0]);
});

test('a screen whose sound ends goes on, and is told as a screen', async () => {
  const { made, tracks, told } = await inRoom();
  await made.share();
  tracks.screenSound.end();
  assert.deepEqual([told, made.publications.size], [['screenSoundEnded'], 1]);
  tracks.screen.end();
  await settle();
  assert.deepEqual([told, made.publications.size], [['screenSoundEnded', 'screenEnded'], 0]);
});

test('a screen is sharp for text, or smooth for movement, and that can be changed while it is shared', async () => {
  const { made, tracks } = await inRoom();
  await made.share();
  assert.equal(tracks.screen.contentHint, 'text');
  made.choose({ ...made.choices, screen: 'motion' });
  assert.equal(tracks.screen.contentHint, 'motion');
});

/** The sound that the page itself listens to, and whether it still does. */
class Listener {
  static all = [];
  listens = true;

  constructor() {
    Listener.all.push(this);
  }

  createAnalyser() {
    return { fftSize: 4, getFloatTimeDomainData: (samples) => samples.fill(0) };
  }

  createMediaStreamSource() {
    return { connect() {} };
  }

  close() {
    this.listens = false;
  }
}

for (const hears of [true, false, undefined])
  test(`a page listens to its microphone unless the media server does (${hears})`, async (t) => {
    Listener.all = [];
    Object.assign(globalThis, { AudioContext: Listener, addEventListener() {}, removeEventListener() {} });
    t.after(() => delete globalThis.AudioContext);
    let answer;
    const { made, microphone } = await inRoom(() => new Promise((resolve) => (answer = resolve)));
    microphone.turnOn();
    await settle();
    // Nobody knows yet whether it is needed.
    assert.equal(Listener.all.length, 0);
    answer({ sdp: 'v=0', ...(hears === undefined ? {} : { hears }) });
    await settle();
    assert.deepEqual(Listener.all.map(({ listens }) => listens), hears ? [] : [true]);
    microphone.turnOff();
    await settle();
    assert.ok(Listener.all.every(({ listens }) => !listens));
    made.leave();
  });
