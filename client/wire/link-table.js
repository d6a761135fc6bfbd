// The machine of a page's connection to the server: connected, resumed, lost, tried again.

export const LINK = /** @type {const} */ ({
  "name": "link",
  "meaning": "A page's connection to the server. If it is lost, it is made again for as long as it is wanted.",
  "states": [
    { "name": "closed", "meaning": "the connection is not wanted, or has ended for good" },
    { "name": "connecting", "meaning": "a websocket is being opened, or the page waits for the server's welcome" },
    { "name": "resuming", "meaning": "the server has sent its welcome, and the session that was in a room is being resumed" },
    { "name": "open", "meaning": "requests may be made" },
    { "name": "waiting", "meaning": "the connection is lost, and the time until the next attempt is running" }
  ],
  "rows": [
    { "triggers": ["open"], "sources": ["closed"], "dest": "connecting", "guards": [], "effects": ["connect"] },
    { "triggers": ["retry", "due"], "sources": ["waiting"], "dest": "connecting", "guards": [], "effects": ["connect"] },
    { "triggers": ["greeted"], "sources": ["connecting"], "dest": "resuming", "guards": ["was in a room"], "effects": ["ask to resume"] },
    { "triggers": ["greeted"], "sources": ["connecting"], "dest": "open", "guards": [], "effects": ["begin"] },
    { "triggers": ["resumed"], "sources": ["resuming"], "dest": "open", "guards": [], "effects": ["begin"] },
    { "triggers": ["not resumed"], "sources": ["resuming"], "dest": "open", "guards": [], "effects": ["forget the room", "begin"] },
    { "triggers": ["request"], "sources": ["open"], "dest": "=", "guards": [], "effects": [] },
    { "triggers": ["doubt"], "sources": ["open"], "dest": "=", "guards": [], "effects": ["ask for life"] },
    { "triggers": ["doubt"], "sources": ["connecting", "resuming"], "dest": "=", "guards": [], "effects": ["expect life soon"] },
    { "triggers": ["doubt"], "sources": ["closed", "waiting"], "dest": "=", "guards": [], "effects": [] },
    { "triggers": ["lost"], "sources": ["connecting", "resuming", "open"], "dest": "closed", "guards": ["for good"], "effects": ["forget the room", "let go", "tell the loss"] },
    { "triggers": ["lost"], "sources": ["open"], "dest": "waiting", "guards": ["was stable"], "effects": ["forget the failures", "let go", "wait", "tell the loss"] },
    { "triggers": ["lost"], "sources": ["connecting", "resuming", "open"], "dest": "waiting", "guards": [], "effects": ["let go", "wait", "tell the loss"] },
    { "triggers": ["end"], "sources": ["connecting", "resuming", "open", "waiting"], "dest": "closed", "guards": [], "effects": ["forget the room", "forget the failures", "let go"] }
  ],
  "causes": {
    "open": "a room is wanted",
    "retry": "the user does not want to wait, or the browser is online again",
    "due": "the time until the next attempt is over. It doubles with each failure, up to 10 s",
    "greeted": "the server sent `welcome`",
    "resumed": "the server answered `resume` with `joined`",
    "not resumed": "the server refused `resume`, because the session is over",
    "request": "the page sends a request to the server",
    "doubt": "the network may have changed: the browser is online again, the media's path is disturbed, or an offer has no answer yet",
    "lost": "the websocket ended, or the server was silent for too long",
    "end": "no room is wanted any more"
  },
  "effects": {
    "connect": "open a websocket, whose welcome must come in time",
    "ask to resume": "send `resume` with the token",
    "begin": "start the heartbeat, and let the page join a room",
    "ask for life": "send `ping` at once. If nothing comes from the server within 2 s, the connection is lost",
    "expect life soon": "if nothing comes from the server within 2 s, this attempt has failed",
    "forget the room": "forget the token, because there is no session to resume",
    "forget the failures": "the next waiting time is the shortest again",
    "let go": "close the websocket, so that pending requests fail",
    "wait": "count the failure, and start the time until the next attempt",
    "tell the loss": "tell the room about the loss"
  }
});
