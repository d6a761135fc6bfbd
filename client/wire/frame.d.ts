// The messages between the page in a frame and the page that shows the frame (docs/embed.md).

/** What the page in the frame says. */
export type FromFrame =
  | { roomfsm: 'ready' }
  | { roomfsm: 'entered'; room: string }
  | { roomfsm: 'people'; count: number }
  | { roomfsm: 'media'; camera: boolean; microphone: boolean }
  | { roomfsm: 'left'; reason: string };

/** What the page around it says. */
export type ToFrame =
  | { roomfsm: 'follow' }
  | { roomfsm: 'turn'; device: 'camera' | 'microphone'; on: boolean }
  | { roomfsm: 'leave' };
