// The machine of a page's connection to the server: connected, resumed, lost, tried again.

export const LINK = /** @type {const} */ ({
  "name": "link",
  "meaning": "A page's connection to the server, made again by itself for as long as it is wanted.",
  "states": [
    { "name": "closed", "meaning": "not wanted, or ended for good" },
    { "name": "connecting", "meaning": "a websocket is being opened, or waits for the server's welcome" },
    { "name": "resuming", "meaning": "welcomed; the session that was in a room is being taken up again" },
    { "name": "open", "meaning": "requests may be made" },
    { "name": "waiting", "meaning": "lost; the time until the next try is running" }
  ],
  "rows": [
    { "triggers": ["open"], "sources": ["closed"], "dest": "connecting", "guards": [], "effects": ["connect"] },
    { "triggers": ["retry", "due"], "sources": ["waiting"], "dest": "connecting", "guards": [], "effects": ["connect"] },
    { "triggers": ["greeted"], "sources": ["connecting"], "dest": "resuming", "guards": ["was in a room"], "effects": ["ask to resume"] },
    { "triggers": ["greeted"], "sources": ["connecting"], "dest": "open", "guards": [], "effects": ["begin"] },
    { "triggers": ["resumed"], "sources": ["resuming"], "dest": "open", "guards": [], "effects": ["begin"] },
    { "triggers": ["not resumed"], "sources": ["resuming"], "dest": "open", "guards": [], "effects": ["forget the room", "begin"] },
    { "triggers": ["request"], "sources": ["open"], "dest": "=", "guards": [], "effects": [] },
    { "triggers": ["lost"], "sources": ["connecting", "resuming", "open"], "dest": "closed", "guards": ["for good"], "effects": ["forget the room", "let go", "tell the loss"] },
    { "triggers": ["lost"], "sources": ["open"], "dest": "waiting", "guards": ["was stable"], "effects": ["forget the failures", "let go", "wait", "tell the loss"] },
    { "triggers": ["lost"], "sources": ["connecting", "resuming", "open"], "dest": "waiting", "guards": [], "effects": ["let go", "wait", "tell the loss"] },
    { "triggers": ["end"], "sources": ["connecting", "resuming", "open", "waiting"], "dest": "closed", "guards": [], "effects": ["forget the room", "forget the failures", "let go"] }
  ],
  "causes": {
    "open": "a room is wanted",
    "retry": "the user does not want to wait, or the browser is online again",
    "due": "the time until the next try is over: it doubles with each failure, up to 10 s",
    "greeted": "the server sent `welcome`",
    "resumed": "the server answered `resume` with `joined`",
    "not resumed": "the server refused `resume`: the session is over",
    "request": "the page wants something of the server",
    "lost": "the websocket ended, or the server was silent for too long",
    "end": "no room is wanted any more"
  },
  "effects": {
    "connect": "open a websocket; its welcome must come in time",
    "ask to resume": "send `resume` with the token",
    "begin": "the heartbeat starts, the room may join",
    "forget the room": "there is no session to resume",
    "forget the failures": "the next wait is the shortest again",
    "let go": "drop the websocket; requests under way fail",
    "wait": "count the failure, start the time until the next try",
    "tell the loss": "the room hears of it"
  }
});
