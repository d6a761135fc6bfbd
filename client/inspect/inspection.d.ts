// What the inspector's feeds tell, as types for the compiler; the server's side is roomfsm/rooms/inspection.py and journal.py.

export interface Glance {
  name: string;
  run: string;
  state: string;
  /** seconds */
  age: number;
  people: number;
  away: number;
  streams: number;
  views: number;
  mediaServer: string | null;
  inbox: number;
  outboxMessages: number;
  outboxBytes: number;
  steps: number;
}

export interface Move {
  trigger: string;
  source: string;
  dest: string;
  count: number;
}

export interface MachineSeen {
  present: Record<string, number>;
  visits: Record<string, number>;
  /** seconds */
  dwelt: Record<string, number>;
  moves: Move[];
}

export interface PersonSeen {
  id: string;
  name: string;
  state: string;
  /** seconds */
  since: number;
  outboxMessages: number;
  outboxBytes: number;
}

export interface LegSeen {
  id: string;
  stream: string;
  participant: string;
  state: string;
  /** seconds */
  since: number;
  viewers?: number;
}

export type MachineName = 'room' | 'stream' | 'view' | 'relay' | 'session';

export interface ServerSeen {
  state: string;
  /** seconds */
  since: number;
  machine: MachineSeen;
  /** Missing if the server is not one of several. */
  node?: NodeSeen;
}

/** The link to another node, in messages. */
export interface LinkSeen {
  sent: number;
  received: number;
  waiting: number;
  waitingBytes: number;
  broken: number;
  lost: number;
}

export interface OtherSeen {
  id: string;
  people: number;
  rooms: number;
  draining: boolean;
  /** seconds; less than 0: its lease is over */
  leaseLeft: number;
  version: string;
  /** the settings that it has otherwise */
  differ: string[];
  link: LinkSeen | null;
}

export interface NodeEntry {
  /** seconds since the node began to start */
  at: number;
  trigger: string;
  source: string;
  dest: string;
  effects: string[];
}

export interface NodeSeen {
  id: string;
  state: string;
  /** seconds */
  since: number;
  /** seconds since the node began to start */
  age: number;
  /** seconds */
  leaseLeft: number;
  edge: number;
  visitors: number;
  machine: MachineSeen;
  journal: NodeEntry[];
  others: OtherSeen[];
  mediaServers: MediaServerSeen[];
}

export interface MediaServerSeen {
  url: string;
  /** why the node knows it */
  origin: 'settings' | 'embedded' | 'added' | 'nodes';
  /** the nodes that have it in their settings */
  nodes: string[];
  state: string;
  problem: string | null;
  pipelines: number;
  endpoints: number;
  /** percent */
  busy: number | null;
}

/** The machines of a page, whose states the server does not know. */
export type PageMachineName = 'page' | 'link' | 'media';

export interface RoomSeen {
  glance: Glance;
  legalInside: string[];
  legalOutside: string[];
  machines: Record<MachineName, MachineSeen>;
  people: PersonSeen[];
  streams: LegSeen[];
  views: LegSeen[];
  relays: RelaySeen[];
}

/** A stream on its way from one media server to another. */
export interface RelaySeen {
  id: string;
  stream: string;
  state: string;
  /** seconds */
  since: number;
  above: string;
  below: string;
}

export interface Entry {
  run: string;
  seq: number;
  /** seconds since the room opened */
  at: number;
  machine: MachineName;
  id?: string;
  who?: string;
  trigger: string;
  message?: Record<string, unknown>;
  facts?: Record<string, unknown>;
  source: string;
  dest: string;
  effects?: string[];
  refused?: { code: string; detail: string; machine?: string; state?: string };
}

export interface Update {
  /** How it is, or was at its end; null: there is none, and the page has seen none. */
  room: RoomSeen | null;
  over: boolean;
  journal: Entry[];
}
