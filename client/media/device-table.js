// The machine of the camera, and of the microphone: each is a toggle of its own.

export const DEVICE = /** @type {const} */ ({
  "name": "device",
  "meaning": "The user's camera, or microphone. Each is turned on and off by itself, and off means that the device is let go.",
  "states": [
    { "name": "off", "meaning": "the user does not want it, and the page does not hold it" },
    { "name": "asking", "meaning": "it is wanted, and the browser asks the user or starts it" },
    { "name": "on", "meaning": "it is captured" },
    { "name": "blocked", "meaning": "the browser did not give it, because it is not allowed or cannot be used" },
    { "name": "absent", "meaning": "there is none" },
    { "name": "lost", "meaning": "it is wanted, but was unplugged or withdrawn while it was on" }
  ],
  "rows": [
    { "triggers": ["turn on"], "sources": ["off", "blocked", "absent"], "dest": "=", "guards": ["a moderator keeps it off"], "effects": ["tell the hold"] },
    { "triggers": ["turn on"], "sources": ["off", "blocked", "absent"], "dest": "asking", "guards": [], "effects": ["ask", "forget the fault"] },
    { "triggers": ["turn off"], "sources": ["asking", "on", "lost"], "dest": "off", "guards": [], "effects": ["let go", "forget the fault"] },
    { "triggers": ["choose"], "sources": ["asking", "on", "lost"], "dest": "asking", "guards": [], "effects": ["let go", "ask"] },
    { "triggers": ["choose"], "sources": ["blocked", "absent"], "dest": "off", "guards": [], "effects": ["forget the fault"] },
    { "triggers": ["granted"], "sources": ["asking"], "dest": "on", "guards": [], "effects": ["take", "forget the fault"] },
    { "triggers": ["refused"], "sources": ["asking"], "dest": "lost", "guards": ["it was lost", "there is none"], "effects": [] },
    { "triggers": ["refused"], "sources": ["asking"], "dest": "absent", "guards": ["there is none"], "effects": ["tell the fault"] },
    { "triggers": ["refused"], "sources": ["asking"], "dest": "blocked", "guards": [], "effects": ["tell the fault"] },
    { "triggers": ["ended"], "sources": ["on"], "dest": "lost", "guards": [], "effects": ["let go", "tell the loss"] },
    { "triggers": ["found", "allowed"], "sources": ["lost"], "dest": "asking", "guards": [], "effects": ["ask"] },
    { "triggers": ["found"], "sources": ["absent"], "dest": "off", "guards": [], "effects": ["forget the fault"] },
    { "triggers": ["allowed"], "sources": ["blocked"], "dest": "off", "guards": [], "effects": ["forget the fault"] }
  ],
  "causes": {
    "turn on": "the user wants it",
    "turn off": "the user does not want it any more, a moderator muted the user, or the room was left",
    "choose": "the user chose another device, or other settings of it",
    "granted": "the browser gave it",
    "refused": "the browser did not give it",
    "ended": "the browser ended it: it was unplugged, or the permission was withdrawn",
    "found": "the device that was lost is there again, or one is there where none was",
    "allowed": "the user allowed it in the browser's settings"
  },
  "effects": {
    "ask": "ask the browser for it",
    "let go": "release it, so that its light goes out",
    "take": "send it, or show it before the room is entered",
    "forget the fault": "take back what the user was told about it",
    "tell the hold": "tell the user that a moderator does not let it be turned on",
    "tell the fault": "tell the user why, and what to do",
    "tell the loss": "tell the user that it stopped, and that it goes on when it is back"
  }
});
