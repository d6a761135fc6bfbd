// As much of a browser's media as the page's devices need, in the hands of a test.

export class Track extends EventTarget {
  readyState = 'live';
  contentHint = '';

  constructor(kind, deviceId = `the ${kind} device`) {
    super();
    this.kind = kind;
    this.deviceId = deviceId;
  }

  getSettings() {
    return { deviceId: this.deviceId };
  }

  stop() {
    this.readyState = 'ended';
  }

  clone() {
    return Object.assign(new Track(this.kind, this.deviceId), { copyOf: this });
  }

  /** It is unplugged, or the permission is withdrawn. */
  end() {
    this.stop();
    this.dispatchEvent(new Event('ended'));
  }
}

export class Stream {
  #tracks;

  constructor(tracks = []) {
    this.#tracks = [...tracks];
  }

  getTracks() {
    return [...this.#tracks];
  }

  getAudioTracks() {
    return this.#tracks.filter(({ kind }) => kind === 'audio');
  }

  getVideoTracks() {
    return this.#tracks.filter(({ kind }) => kind === 'video');
  }

  addTrack(track) {
    this.#tracks.push(track);
  }

  removeTrack(track) {
    this.#tracks = this.#tracks.filter((other) => other !== track);
  }
}

/** The devices of a computer; a test answers what the browser is asked, oldest first. */
export class Devices {
  asked = [];
  plugged = { camera: ['the video device'], microphone: ['the audio device'], speaker: [] };
  permission = Object.assign(new EventTarget(), { state: 'prompt' });
  #changed = new Set();

  capture = (what, choices) =>
    new Promise((resolve, reject) => this.asked.push({ what, choices: { ...choices }, resolve, reject }));

  findDevices = async () =>
    Object.fromEntries(
      Object.entries(this.plugged).map(([kind, ids]) => [kind, ids.map((id) => ({ id, label: id }))]),
    );

  watchDevices = (changed) => {
    this.#changed.add(changed);
    return () => this.#changed.delete(changed);
  };

  permissionOf = async () => this.permission;

  async change(plugged) {
    Object.assign(this.plugged, plugged);
    for (const changed of this.#changed) changed();
    await settle();
  }

  async grant(kind = this.asked[0].what === 'camera' ? 'video' : 'audio') {
    const track = new Track(kind);
    this.asked.shift().resolve(new Stream([track]));
    await settle();
    return track;
  }

  async refuse(error) {
    this.asked.shift().reject(error);
    await settle();
  }
}

export const settle = () => new Promise((resolve) => setImmediate(resolve));
