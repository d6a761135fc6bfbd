// The machine of one stream's way between the page and the media server: offered, connected, lost, tried again.

export const MEDIA = /** @type {const} */ ({
  "name": "media",
  "meaning": "A page's way to or from the media server for one stream, made anew for as long as it is wanted.",
  "states": [
    { "name": "idle", "meaning": "not wanted: not yet, no longer, or hidden" },
    { "name": "negotiating", "meaning": "an offer is made, or waits for its answer" },
    { "name": "connecting", "meaning": "answered; a network path is being found, or found again" },
    { "name": "connected", "meaning": "there is a network path" },
    { "name": "waiting", "meaning": "failed; the time until the next try is running" },
    { "name": "offline", "meaning": "failed, or ended with its room, while nothing can be asked of the server" },
    { "name": "given-up", "meaning": "failed in a way that does not pass; only the user begins it anew" }
  ],
  "rows": [
    { "triggers": ["start", "show"], "sources": ["idle"], "dest": "negotiating", "guards": [], "effects": ["forget the failures", "try"] },
    { "triggers": ["start"], "sources": ["negotiating", "connecting", "connected", "waiting", "offline", "given-up"], "dest": "negotiating", "guards": [], "effects": ["forget the failures", "part", "try"] },
    { "triggers": ["impossible"], "sources": ["negotiating"], "dest": "given-up", "guards": [], "effects": ["forget the failures", "count", "tell the failure"] },
    { "triggers": ["due"], "sources": ["waiting"], "dest": "negotiating", "guards": [], "effects": ["try"] },
    { "triggers": ["answered"], "sources": ["negotiating"], "dest": "connecting", "guards": [], "effects": [] },
    { "triggers": ["path found"], "sources": ["negotiating", "connecting", "connected"], "dest": "connected", "guards": [], "effects": ["note the time"] },
    { "triggers": ["media"], "sources": ["connected"], "dest": "=", "guards": [], "effects": [] },
    { "triggers": ["path disturbed"], "sources": ["negotiating", "connecting", "connected"], "dest": "connecting", "guards": [], "effects": [] },
    { "triggers": ["failed"], "sources": ["negotiating", "connecting", "connected"], "dest": "offline", "guards": ["offline"], "effects": ["part for good"] },
    { "triggers": ["failed"], "sources": ["negotiating", "connecting", "connected"], "dest": "given-up", "guards": ["hopeless"], "effects": ["part", "count", "tell the failure"] },
    { "triggers": ["failed"], "sources": ["negotiating", "connecting", "connected"], "dest": "waiting", "guards": [], "effects": ["part", "count", "wait", "tell the failure"] },
    { "triggers": ["suspend"], "sources": ["negotiating", "connecting", "connected", "waiting", "offline"], "dest": "offline", "guards": [], "effects": ["part for good"] },
    { "triggers": ["begin anew"], "sources": ["negotiating", "connecting", "connected", "waiting", "offline", "given-up"], "dest": "negotiating", "guards": [], "effects": ["forget the failures", "part for good", "try"] },
    { "triggers": ["back"], "sources": ["negotiating", "connecting", "connected", "waiting", "offline"], "dest": "=", "guards": ["works"], "effects": [] },
    { "triggers": ["back"], "sources": ["negotiating", "connecting", "connected", "waiting", "offline"], "dest": "negotiating", "guards": [], "effects": ["forget the failures", "look at the server", "part", "try"] },
    { "triggers": ["stop"], "sources": ["negotiating", "connecting", "connected", "waiting", "offline", "given-up"], "dest": "idle", "guards": [], "effects": ["part"] },
    { "triggers": ["over"], "sources": ["negotiating", "connecting", "connected", "waiting", "offline", "given-up"], "dest": "idle", "guards": [], "effects": ["part for good"] }
  ],
  "causes": {
    "start": "it is wanted",
    "show": "the user wants to see what was hidden",
    "impossible": "the browser does not take the ICE servers, and will not at another try",
    "due": "the time until the next try is over: it doubles with each failure, up to 10 s",
    "answered": "the media server's answer is set",
    "path found": "the peer connection is connected",
    "media": "media may be sent and received",
    "path disturbed": "the peer connection is disconnected, which may pass",
    "failed": "the server refused or ended it, the peer connection failed, or neither came about in time",
    "suspend": "the room closed; it is entered again as soon as it can be",
    "begin anew": "back in the room by a new session, which has nothing of the old one",
    "back": "back in the room by the same session",
    "stop": "the user stopped it, or hides it",
    "over": "the room was left, or the stream has ended"
  },
  "effects": {
    "forget the failures": "the next wait is the shortest again",
    "try": "make a peer connection and an offer, and ask the server",
    "part": "close the peer connection; ask the server to release its end, if it has one",
    "part for good": "close the peer connection; the server has no end of it any more",
    "look at the server": "the resumed room tells whether the server still has its end",
    "note the time": "failures are forgotten after 10 s on a path",
    "count": "count the failure",
    "wait": "start the time until the next try",
    "tell the failure": "the user hears of it"
  }
});
