// The user's presence in a room: enters the room, comes back to it, keeps its state, and passes on messages about
// media. The table in page-table.js says what is legal in which state, and what follows a reply or a loss.

import { backoff } from '../wire/backoff.js';
import { ConnectionLost, ProtocolError } from '../wire/connection.js';
import { Emitter } from '../wire/emitter.js';
import { Machine } from '../wire/machine.js';
import { Presenting } from '../media/presenting.js';
import { PathWatch } from '../media/path-watch.js';
import { Watching } from '../media/watching.js';
import { Announcing } from './announcing.js';
import { PAGE } from './page-table.js';
import { RoomState } from './state.js';
import { Credentials } from './credentials.js';
import { upload } from './upload.js';

/** @import {Admit, Ban, ClearChat, CloseRoom, Configure, DeleteLine, Deny, EndStream} from '../wire/messages.d.ts' */
/** @import {Kick, Lock, LowerHand, Mute} from '../wire/messages.d.ts' */
/** @import {RaiseHand, Reaction, ReactionInfo, SetRole, Unban, Unlock, Unmute} from '../wire/messages.d.ts' */
/** @import {Closing, ErrorCode, Join, Joined, ServerMessage, Source, StreamInfo, StreamState, Switch} from '../wire/messages.d.ts' */
/** @import {Connection} from '../wire/connection.js' */
/** @import {StateOf} from '../wire/machine.js' */
/** @import {DeviceKind} from '../media/device.js' */
/** @import {News, PresentingNews} from '../media/presenting.js' */
/** @import {SoundNews} from './announcing.js' */
/** @import {Part} from './state.js' */
/** @import {FileOptions} from './upload.js' */

/** @typedef {StateOf<typeof PAGE>} RoomStatus */

/**
 * What somebody may ask for about people or the whole room.
 * @typedef {(
 *   RaiseHand | LowerHand | Kick | Ban | SetRole | Admit | Deny | Configure | Lock | Unlock | ClearChat |
 *   DeleteLine | EndStream | CloseRoom | Mute | Unmute | Unban
 * )} Moderation
 */

/**
 * The data of a trigger of the table: the reply or the error for a request to enter a room, a close code, or the
 * reason why a room closes.
 * @typedef {{
 *   asked?: string,
 *   joined?: Joined,
 *   error?: unknown,
 *   code?: number,
 *   final?: boolean,
 *   reason?: string | undefined,
 * }} PageFacts
 */

/**
 * `refused`: what the server refused without having been asked by a request. `viewFailed`: a stream of somebody
 * cannot be received. `enteredNameless`: the room was entered without the user's name, which the server does not take.
 * `notEntered`: a room could not be entered; `again`: it is tried again. `notSwitched`: one stays where one was.
 * `connectionEnded`: for good, by this close code.
 * @typedef {(
 *   PresentingNews |
 *   { what: 'refused', error: ProtocolError } |
 *   { what: 'viewFailed', name: string, source: Source, error: Error, givenUp: boolean } |
 *   { what: 'enteredNameless', fault: string } |
 *   { what: 'notEntered', room: string, error: unknown, again: boolean } |
 *   { what: 'notSwitched', room: string, error: unknown } |
 *   { what: 'waiting', room: string } |
 *   { what: 'serverDrains', seconds: number } |
 *   { what: 'serverCloses' } |
 *   { what: 'roomCloses', reason: string | undefined } |
 *   { what: 'putOut', reason: string | undefined } |
 *   SoundNews |
 *   { what: 'connectionEnded', code: number }
 * )} RoomNews
 */

/**
 * `change`: `media` is what is presented or watched by oneself. `solved`: what the news of this topic told is over.
 * `misnamed`: the name can be no room's, so one is in none.
 * `moved`: to another room or to none, so that no news of the one before hold any more.
 * `ended`: one's stay is over, and it is not by one's own will; no news of it hold any more.
 * @typedef {{
 *   change: Part | 'status' | 'media',
 *   news: News<RoomNews>,
 *   solved: string,
 *   moved: void,
 *   ended: void,
 *   entered: RoomState,
 *   reacted: readonly ReactionInfo[],
 *   misnamed: { name: string, fault: string },
 *   passwordAsked: { room: string, wrong: boolean },
 * }} RoomEvents
 */

/** Refusals of a `join` that another attempt would get again. @type {Set<ErrorCode>} */
const HOPELESS = new Set([
  'malformed',
  'unknown_message',
  'banned',
  'denied',
  'token_invalid',
  'token_expired',
  'password_wrong',
]);

/** The server's states of a room in which nobody can stay. @type {ReadonlySet<Joined['state']>} */
const ENDING = new Set(['closing']);

/** A server that can be reached answers within so many milliseconds, or the network is taken for another one. */
const ANSWERS_WITHIN = 700;

/** A server that is being restarted is overdue after so many milliseconds. */
const BACK_WITHIN = 15_000;

/** Whether media of a stream flow, by its state. @type {Record<StreamState, boolean>} */
const LIVE = { negotiating: false, live: true, stalled: false, ended: false };

/** The trigger of the table when the server or a room closes. @type {Record<Closing['scope'], 'server closes' | 'room closes'>} */
const CLOSES = { server: 'server closes', room: 'room closes' };

/** @extends {Emitter<RoomEvents>} */
export class Room extends Emitter {
  /** Whether camera and microphone stay on when the user goes from one room to another. */
  takesAlong = false;
  /** The last known state of the room. It may be outdated while the user is not in the room. @type {RoomState | null} */
  state = null;

  /** The room in which the user wants to be. @type {string | null} */
  #wanted = null;
  /** The room that was asked for last. */
  #asked = '';
  #displayName = '';
  #credentials;
  /** @type {Announcing} */
  #announcing;
  #paths;
  #serverCloses = false;
  /** Whether one's stay in the room was ended by somebody, and not by a loss, so that nothing of it is kept. */
  #endedHere = false;
  #joinTries = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /** @type {Machine<typeof PAGE, PageFacts>} */
  #page = new Machine(PAGE, {
    guards: {
      connected: () => this.connection.ready,
      'another room': () => this.state?.name !== this.#wanted,
      'another room by now': ({ asked }) => this.#wanted !== asked,
      // Who comes back to it is told so by the snapshot alone, and by nothing after that.
      'room is closing': ({ joined }) => joined !== undefined && ENDING.has(joined.state),
      'same room': ({ joined }) => this.state?.key === joined?.key,
      'no name of a room': ({ error }) => faultOf(error)?.path === '$.room',
      'no name of a person': ({ error }) => faultOf(error)?.path === '$.name' && this.#displayName !== '',
      hopeless: ({ error }) => error instanceof ProtocolError && HOPELESS.has(error.code),
      'the password is missing': ({ error }) => error instanceof ProtocolError && error.code === 'password_wrong',
      'for good': ({ final = false }) => final,
      'server is closing': () => this.#serverCloses,
    },
    effects: {
      connect: () => this.connection.open(),
      'ask to join': () => this.#askToJoin(),
      'ask to switch': () => this.#ask({ type: 'switch', room: this.#wanted ?? '', ...this.#brought() }),
      'tell the waiting': ({ asked: room = '' }) =>
        this.#tell({ what: 'waiting', room }, 'presence', { kind: 'info', lasting: true }),
      'stop waiting': () => this.connection.send({ type: 'leave' }),
      'refresh the room': ({ joined }) => joined && this.#refresh(joined),
      'take the room': ({ joined, asked }) => joined && this.#take(joined, asked),
      settle: () => this.#settle(),
      'publish again': () => this.presenting.startAnew(),
      'go on': () => this.#page.fire('want', {}),
      'let go': () => this.#letGo(),
      'tell the misnaming': ({ asked: name = '', error }) =>
        this.emit('misnamed', { name, fault: faultOf(error)?.detail ?? '' }),
      // The browser remembered this name from an earlier version of the server, which allowed it.
      'drop the name': ({ error }) => {
        this.#displayName = '';
        this.#tell({ what: 'enteredNameless', fault: faultOf(error)?.detail ?? '' }, 'rename');
      },
      'tell the refusal': ({ asked: room = '', error }) =>
        this.#tell({ what: 'notEntered', room, error, again: false }, 'presence', { lasting: true }),
      'tell the delay': ({ asked: room = '', error }) =>
        this.#tell({ what: 'notEntered', room, error, again: true }, 'presence', { lasting: true }),
      wait: () => {
        this.#joinTries += 1;
        this.#timer = setTimeout(() => this.#page.fire('due', {}), backoff(this.#joinTries));
      },
      stay: ({ asked = '', error }) => this.#stay(asked, error),
      'tell the shutdown': () => {
        this.#serverCloses = true;
        this.emit('solved', 'drain');
        this.#tell({ what: 'serverCloses' }, 'presence', { kind: 'info', lasting: true });
      },
      'expect the server': () => {
        clearTimeout(this.#timer);
        this.emit('solved', 'drain');
        this.#timer = setTimeout(() => this.#page.fire('overdue', {}), BACK_WITHIN);
      },
      'let the media wait': () => this.#letMediaWait(),
      suspend: () => {
        this.connection.forgetRoom();
        this.#letMediaWait();
      },
      'tell the closing': ({ reason }) =>
        this.#tell({ what: 'roomCloses', reason }, 'presence', { kind: 'info', lasting: true, toRead: true }),
      'tell the putting out': ({ reason }) =>
        this.#tell({ what: 'putOut', reason }, 'presence', { kind: 'info', lasting: true }),
      'forget the server': () => {
        clearTimeout(this.#timer);
        this.#serverCloses = false;
        this.emit('solved', 'drain');
      },
      'end the media': () => {
        this.#endedHere = true;
        this.presenting.leave();
        this.watching.leave();
        // What could not be sent or received, and was tried again, is not tried again.
        this.emit('ended', undefined);
      },
      'tell the end': ({ code = 0 }) =>
        this.#tell({ what: 'connectionEnded', code }, 'presence', { lasting: true }),
    },
    fired: () => this.emit('change', 'status'),
  });

  /**
   * @param {Connection} connection
   * @param {Credentials} [credentials] what the user brings to enter rooms
   */
  constructor(connection, credentials = new Credentials(null)) {
    super();
    this.connection = connection;
    this.#credentials = credentials;
    this.presenting = new Presenting(connection, () => this.state?.you ?? '');
    this.#announcing = new Announcing(this, connection, this.presenting, (news) =>
      this.#tell(news, 'sound', { kind: 'info' }),
    );
    this.watching = new Watching(connection);
    this.#paths = new PathWatch(
      () => this.#links().flatMap((link) => (link.works && link.peer ? [link.peer] : [])),
      () => this.#doubtTheNetwork(),
    );
    this.presenting.on('change', () => {
      this.#announcing.media();
      this.#watchPaths();
      this.emit('change', 'media');
    });
    this.presenting.on('news', (news) => this.emit('news', news));
    this.presenting.on('solved', (topic) => this.emit('solved', topic));
    this.watching.on('change', () => {
      this.#watchPaths();
      this.emit('change', 'media');
    });
    this.watching.on('failed', (failure) => this.#viewFailed(failure));
    this.watching.on('solved', (stream) => this.emit('solved', `view:${stream}`));
    connection.on('ready', ({ joined }) =>
      joined ? this.#page.fire('resumed', { joined }) : this.#page.fire('connected anew', {}),
    );
    connection.on('lost', (loss) => this.#page.fire('lost', loss));
    connection.on('message', (message) => this.#received(message));
    connection.on('unasked', (error) => {
      // A late candidate is for a stream or view that has ended, so it is not needed.
      // A `speaking` that a moderator's mute has overtaken is not needed either, nor is applause that is too fast.
      if (['candidate', 'speaking', 'react'].includes(error.message ?? '')) console.debug('refused', error);
      else this.#tell({ what: 'refused', error: new ProtocolError(error) }, `refusal:${error.code}`);
    });
  }

  /** @returns {RoomStatus} */
  get status() {
    return this.#page.state;
  }

  /** The room in which the user wants to be; empty: none. */
  get wanted() {
    return this.#wanted ?? '';
  }

  /** Whether camera, microphone and screen may be started. */
  get mayPresent() {
    return this.#page.can('present');
  }

  /** Whether the room has as many presenters as it may, and the user is none of them. */
  get isFull() {
    const { state } = this;
    const limit = this.connection.welcome?.limits.presenters ?? Infinity;
    const presenters = new Set([...(state?.streams.values() ?? [])].map(({ participant }) => participant));
    return state !== null && !presenters.has(state.you) && presenters.size >= limit;
  }

  /**
   * Turn the user's camera or microphone on or off. A microphone that a moderator keeps muted stays off.
   * @param {DeviceKind} kind
   */
  toggle(kind) {
    const device = this.presenting.devices[kind];
    if (device.wanted) device.turnOff();
    else device.turnOn();
  }

  /** Whether the user may repeat an attempt that the page does not repeat by itself. */
  get mayTryAgain() {
    return this.#page.can('try again');
  }

  /**
   * Whether anything in the room is live, as far as this page can tell: the server says so, and what this page itself
   * sends or receives of it flows.
   */
  get live() {
    const { state, mayPresent } = this;
    return mayPresent && state !== null && [...state.streams.values()].some((stream) => this.#flows(stream));
  }

  /** @param {StreamInfo} stream */
  #flows({ id, participant, source, state }) {
    if (!LIVE[state]) return false;
    if (participant === this.state?.you) return this.presenting.publications.get(source)?.works ?? true;
    const view = this.watching.views.get(id);
    return view === undefined || view.idle || (view.works && !view.stalled);
  }

  /** The streams that the user may view. */
  othersStreams() {
    const { state } = this;
    return state ? [...state.streams.values()].filter((stream) => stream.participant !== state.you) : [];
  }

  /**
   * Enter this room: join it, or switch to it from the present room.
   * @param {string} name
   * @param {string} displayName empty: the server's default
   */
  enter(name, displayName) {
    this.#displayName = displayName;
    // Why one is not in another room is of no interest any more.
    if (this.#wanted !== null && this.#wanted !== name) this.emit('solved', 'presence');
    this.#wanted = name;
    this.#joinTries = 0;
    this.#page.fire('want', {});
  }

  /** Repeat the attempt that was refused. */
  tryAgain() {
    this.#joinTries = 0;
    this.#page.fire('try again', {});
  }

  /** Leave the room without entering another. */
  leave() {
    this.#page.fire('go', {});
  }

  /**
   * @param {string} name
   * @returns {Promise<void>} rejects with `ProtocolError` or `ConnectionLost`
   */
  async rename(name) {
    await this.connection.request({ type: 'rename', name });
    this.#displayName = name;
  }

  /**
   * @param {string} text
   * @param {{ to?: string, replyTo?: number }} [about] to whom it is said in private, and which line it answers
   * @returns {Promise<void>} rejects with `ProtocolError` or `ConnectionLost`
   */
  async say(text, about = {}) {
    await this.connection.request({ type: 'chat', text, ...about });
  }

  /** Whether people may send files to the chat, and the server takes any. */
  get maySendFiles() {
    return (this.state?.files ?? false) && this.connection.welcome?.limits.fileBytes !== undefined;
  }

  /**
   * Send a file to the chat.
   * @param {File | Blob} file
   * @param {FileOptions} [options]
   * @returns {Promise<void>} rejects with `ProtocolError`, `ConnectionLost` or `UploadError`
   */
  async sendFile(file, options) {
    await upload(this.connection, file, options);
  }

  /**
   * Show a reaction to everybody, which is told after a moment.
   * @param {Reaction} reaction
   */
  react(reaction) {
    this.connection.send({ type: 'react', reaction });
  }

  /** The user's own entry among the people. */
  get me() {
    return this.state?.participants.get(this.state.you);
  }

  /** Whether the user may decide who is in the room and what they may do. */
  get moderates() {
    return this.me?.role === 'moderator';
  }

  /**
   * Ask for something about people or the whole room; the server decides whether the user's role allows it.
   * @param {Moderation} message
   * @returns {Promise<void>} rejects with `ProtocolError` or `ConnectionLost`
   */
  async moderate(message) {
    await this.connection.request(message);
  }

  #links() {
    return [...this.watching.views.values(), ...this.presenting.publications.values()];
  }

  /** Nothing comes from the media server. If the server does not say anything either, it is the network. */
  #doubtTheNetwork() {
    const asked = performance.now();
    this.connection.doubt();
    setTimeout(() => {
      if (this.connection.heardAt >= asked || !this.#paths.silent) return;
      for (const link of this.#links()) link.moved();
    }, ANSWERS_WITHIN);
  }

  #watchPaths() {
    this.#paths.keep(this.#links().some((link) => link.works));
  }

  /** All peer connections by stream id. */
  peerConnections() {
    /** @type {Map<string, RTCPeerConnection>} */
    const found = new Map();
    for (const link of this.#links()) {
      if (link.peer) found.set(link.streamId(), link.peer.pc);
    }
    return found;
  }

  #askToJoin() {
    clearTimeout(this.#timer);
    const name = this.#displayName;
    this.#ask({ type: 'join', room: this.#wanted ?? '', ...(name ? { name } : {}), ...this.#brought() });
  }

  /** What the user brings to enter the wanted room. */
  #brought() {
    return this.#credentials.of(this.#wanted ?? '');
  }

  /**
   * Ask for a room. If another room is wanted when the reply comes, the reply decides how to get there.
   * @param {Join | Switch} message
   */
  #ask(message) {
    const asked = message.room;
    this.#asked = asked;
    this.connection.request(message).then(
      (joined) => this.#page.fire('entered', { asked, joined }),
      (error) => {
        // If the connection is lost, the wish is kept, and `ready` continues from here.
        if (error instanceof ConnectionLost) return;
        const wanted = this.#wanted === asked;
        this.#page.fire('turned away', { asked, error });
        if (wanted && error instanceof ProtocolError && error.code === 'password_wrong') {
          this.emit('passwordAsked', { room: asked, wrong: message.password !== undefined });
        }
      },
    );
    this.watching.foresee();
  }

  #letMediaWait() {
    this.presenting.suspend();
    this.watching.leave();
  }

  /** @param {Joined} joined the state of the room in which the resumed session already is */
  #refresh(joined) {
    if (!this.state) return;
    this.state = this.state.resumed(joined);
    this.#announcing.forget();
    this.#announcing.comeBack();
    // Of several paths one is looked at, and stands for all.
    const moved = this.#paths.silent;
    this.presenting.resume(this.state.streams, moved);
    this.watching.resume(moved);
  }

  /**
   * @param {Joined} joined
   * @param {string} [asked] the room's name as it was asked for
   */
  #take(joined, asked) {
    this.watching.follow([]);
    if (this.state && this.state.key !== joined.key) this.presenting.leave({ along: this.takesAlong });
    if (this.state?.key !== joined.key) this.emit('moved', undefined);
    const returns = this.state?.key === joined.key && !this.#endedHere;
    this.state = returns && this.state ? this.state.reentered(joined) : new RoomState(joined);
    this.#endedHere = false;
    this.#announcing.forget();
    // The user is now in the wanted room. The room's own spelling of its name is used.
    if (this.#wanted === asked) this.#wanted = joined.room;
  }

  #settle() {
    if (!this.state) return;
    this.#joinTries = 0;
    // What there is to be watched is asked for first, and then the page shows the room.
    this.watching.follow(this.othersStreams());
    this.watching.forgetForeseen();
    this.emit('solved', 'presence');
    this.emit('entered', this.state);
    this.#expectMedia();
    this.#announcing.media();
    this.#announcing.speech();
  }

  /**
   * @param {string} asked the room that could not be gone to
   * @param {unknown} error
   */
  #stay(asked, error) {
    if (!this.state) return;
    this.watching.forgetForeseen();
    this.#wanted = this.state.name;
    // Another spelling of the same room's name is not a failure. The address is corrected.
    if (!(error instanceof ProtocolError && error.code === 'already_in_room'))
      this.#tell({ what: 'notSwitched', room: asked, error }, 'switch');
    this.emit('entered', this.state);
  }

  #letGo() {
    this.#wanted = null;
    this.#serverCloses = false;
    clearTimeout(this.#timer);
    this.presenting.leave();
    this.watching.leave();
    this.connection.send({ type: 'leave' });
    this.connection.close();
    this.state = null;
    this.emit('moved', undefined);
  }

  /** @param {ServerMessage} message */
  #received(message) {
    if (message.type === 'closing') this.#heardOfClosing(message);
    if (message.type === 'knocking') this.#page.fire('must wait', { asked: this.#asked });
    if (!this.state) return;
    if (message.type === 'participantLeft' && message.participant === this.state.you)
      this.#page.fire('put out', { reason: message.reason });
    const me = this.me;
    const part = this.state.apply(message);
    switch (message.type) {
      case 'participantChanged':
        if (message.participant.id === this.state.you) this.#announcing.heardOfMyself(me);
        break;
      case 'muted':
        this.#announcing.heardOfMute(message);
        break;
      case 'streamStarted':
        this.watching.follow(this.othersStreams());
        break;
      case 'streamChanged':
        this.watching.changed(message);
        break;
      case 'streamEnded':
        this.watching.follow(this.othersStreams());
        this.presenting.ended(message.stream, message.reason);
        break;
      case 'layers':
        this.presenting.useLayers(message);
        break;
      case 'reacted':
        this.emit('reacted', message.reactions);
        break;
      case 'candidate':
        this.presenting.candidateFound(message);
        this.watching.candidateFound(message);
        break;
    }
    if (part === 'people' || part === 'streams') this.#expectMedia();
    if (part === 'streams' && !this.isFull) this.emit('solved', 'place');
    if (part) this.emit('change', part);
  }

  /** Tell the views what is to come, so that what was turned off is not taken for a failure. */
  #expectMedia() {
    for (const stream of this.othersStreams())
      this.watching.views.get(stream.id)?.expect(this.state?.broughtBy(stream) ?? { picture: true, sound: true });
  }

  /** @param {Closing} closing */
  #heardOfClosing({ scope, reason, seconds = 0 }) {
    if (seconds > 0) this.#tell({ what: 'serverDrains', seconds }, 'drain', { kind: 'info', lasting: true });
    // It is over by the will of somebody in it. Coming back would open it again.
    else if (scope === 'room' && reason === 'moderator') this.#page.fire('put out', { reason: 'closed' });
    else if (scope === 'server' && reason === 'restarting') this.#page.fire('server restarts', {});
    else this.#page.fire(CLOSES[scope], { reason });
  }

  /** @param {import('../media/watching.js').WatchingEvents['failed']} failure */
  #viewFailed({ stream: id, error, tries, givenUp }) {
    const stream = this.state?.streams.get(id);
    // The tile keeps saying that the page tries again, so one notice is enough.
    if (!stream || tries > 1) return;
    const name = this.state?.nameOf(stream.participant) ?? '';
    // Every view that is given up has the same cause, so one notice is enough.
    const topic = givenUp ? 'view' : `view:${id}`;
    this.#tell({ what: 'viewFailed', name, source: stream.source, error, givenUp }, topic, { lasting: true });
  }

  /**
   * @param {RoomNews} news
   * @param {string} topic
   * @param {{kind?: 'info' | 'error', lasting?: boolean, toRead?: boolean}} [how]
   */
  #tell(news, topic, { kind = 'error', lasting = false, toRead = false } = {}) {
    this.emit('news', { ...news, kind, topic, lasting, toRead });
  }
}

/**
 * The reason why the server refuses a message.
 * @param {unknown} error
 */
function faultOf(error) {
  return error instanceof ProtocolError && error.code === 'malformed' ? error.answer : null;
}
