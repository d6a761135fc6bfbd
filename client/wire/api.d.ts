// What the server tells by HTTP as types, for the compiler only: no browser loads this file.

import type { RoomStateName } from './messages.d.ts';

/** One room as `GET /api/rooms` tells it. */
export interface RoomSummary {
  name: string;
  participants: number;
  streams: number;
  state: RoomStateName;
}

/** Why a text can be no name: in English, and by a code with what its sentence names. */
export interface NameFault {
  fault: string;
  code?: string;
  values?: Record<string, number | string>;
  name?: undefined;
}

/** What `GET /api/room-name` and `GET /api/display-name` tell: the name as it is kept, or why there can be none. */
export type NameAnswer = { name: string; fault?: undefined } | NameFault;

/** What `GET /inspect/api/access` tells: whether there is an inspector, and for the one who asks. */
export interface InspectorAccess {
  open: boolean;
}
