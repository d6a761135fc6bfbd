// The controls of the user's own camera, microphone and screen.

import { button, find, part, setIcon, setText } from './dom.js';

/** @import {Capture} from '../media/devices.js' */
/** @import {Source} from '../wire/messages.d.ts' */
/** @import {Room} from '../room/room.js' */
/** @import {Notices} from './notices.js' */

export class ControlsView {
  /**
   * @param {HTMLElement} root of the room's page
   * @param {Room} room
   * @param {Notices} notices
   */
  constructor(root, room, notices) {
    this.#room = room;
    this.#notices = notices;
    const bar = part(root, 'controls');
    this.#startCamera = button(bar, 'start-camera');
    this.#startMic = button(bar, 'start-mic');
    this.#mute = button(bar, 'mute-mic');
    this.#pause = button(bar, 'pause-camera');
    this.#stopCamera = button(bar, 'stop-camera');
    this.#startScreen = button(bar, 'start-screen');
    this.#stopScreen = button(bar, 'stop-screen');
    this.#startCamera.addEventListener('click', () => this.#start('camera'));
    this.#startMic.addEventListener('click', () => this.#start('microphone'));
    this.#startScreen.addEventListener('click', () => this.#start('screen'));
    this.#stopCamera.addEventListener('click', () => this.#stop('camera'));
    this.#stopScreen.addEventListener('click', () => this.#stop('screen'));
    this.#mute.addEventListener('click', () => this.#turn('audio'));
    this.#pause.addEventListener('click', () => this.#turn('video'));
  }
  #room;
  #notices;
  #startCamera;
  #startMic;
  #mute;
  #pause;
  #stopCamera;
  #startScreen;
  #stopScreen;

  update() {
    const { presenting, mayPresent } = this.#room;
    const camera = presenting.publications.get('camera');
    const screen = presenting.publications.get('screen');

    this.#startCamera.hidden = this.#startMic.hidden = camera !== undefined;
    this.#startCamera.disabled = this.#startMic.disabled = !mayPresent || presenting.busy.has('camera');
    this.#stopCamera.hidden = camera === undefined;
    this.#stopCamera.disabled = presenting.busy.has('camera');
    setText(
      find(this.#stopCamera, 'span', HTMLElement),
      camera?.has('video') === false ? 'Stop microphone' : 'Stop camera',
    );
    this.#startScreen.hidden = screen !== undefined;
    this.#startScreen.disabled = !mayPresent || presenting.busy.has('screen');
    this.#stopScreen.hidden = screen === undefined;
    this.#stopScreen.disabled = presenting.busy.has('screen');

    this.#mute.hidden = !camera?.has('audio');
    const muted = camera?.isOn('audio') === false;
    this.#mute.dataset['active'] = String(muted);
    setText(find(this.#mute, 'span', HTMLElement), muted ? 'Unmute' : 'Mute');
    setIcon(this.#mute, muted ? 'mic-off' : 'mic');

    this.#pause.hidden = !camera?.has('video');
    const paused = camera?.isOn('video') === false;
    this.#pause.dataset['active'] = String(paused);
    setText(find(this.#pause, 'span', HTMLElement), paused ? 'Show picture' : 'Pause picture');
    setIcon(this.#pause, paused ? 'camera-off' : 'camera');
  }

  /** @param {Capture} what */
  #start(what) {
    const source = what === 'screen' ? 'screen' : 'camera';
    this.#room.presenting.start(what).catch((error) => this.#tell(error, source));
  }

  /** @param {Source} source */
  #stop(source) {
    this.#room.presenting.stop(source).catch((error) => this.#tell(error, source));
  }

  /** @param {'audio' | 'video'} kind */
  #turn(kind) {
    const camera = this.#room.presenting.publications.get('camera');
    camera?.turn(kind, !camera.isOn(kind));
  }

  /**
   * @param {unknown} error
   * @param {Source} source
   */
  #tell(error, source) {
    this.#notices.showFailure('', error, `publish:${source}`);
  }
}
