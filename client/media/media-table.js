// The machine of one stream's connection between the page and the media server: offered, connected, lost, tried
// again.

export const MEDIA = /** @type {const} */ ({
  "name": "media",
  "meaning": "A page's connection to or from the media server for one stream. If it fails, it is made again for as long as it is wanted.",
  "states": [
    { "name": "idle", "meaning": "the stream is not wanted: not yet, no longer, or because it is hidden" },
    { "name": "negotiating", "meaning": "an offer is being made, or waits for its answer" },
    { "name": "connecting", "meaning": "the offer was answered, and a network path is being found" },
    { "name": "connected", "meaning": "there is a network path" },
    { "name": "waiting", "meaning": "it failed, and the time until the next attempt is running" },
    { "name": "offline", "meaning": "it failed or ended with its room, and the server cannot be asked at the moment" },
    { "name": "given-up", "meaning": "it failed for a reason that does not pass, and only the user can begin it again" }
  ],
  "rows": [
    { "triggers": ["start", "show"], "sources": ["idle"], "dest": "negotiating", "guards": [], "effects": ["forget the failures", "try"] },
    { "triggers": ["start"], "sources": ["negotiating", "connecting", "connected", "waiting", "offline", "given-up"], "dest": "negotiating", "guards": [], "effects": ["forget the failures", "part", "try"] },
    { "triggers": ["impossible"], "sources": ["negotiating"], "dest": "given-up", "guards": [], "effects": ["forget the failures", "count", "tell the failure"] },
    { "triggers": ["due"], "sources": ["waiting"], "dest": "negotiating", "guards": [], "effects": ["try"] },
    { "triggers": ["answered"], "sources": ["negotiating"], "dest": "connecting", "guards": [], "effects": [] },
    { "triggers": ["path found"], "sources": ["negotiating", "connecting", "connected"], "dest": "connected", "guards": [], "effects": ["note the time"] },
    { "triggers": ["pass media"], "sources": ["connected"], "dest": "=", "guards": [], "effects": [] },
    { "triggers": ["path disturbed"], "sources": ["negotiating", "connecting", "connected"], "dest": "connecting", "guards": [], "effects": ["doubt the connection"] },
    { "triggers": ["unanswered"], "sources": ["negotiating"], "dest": "=", "guards": [], "effects": ["doubt the connection"] },
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
    "start": "the stream is wanted",
    "show": "the user wants to see a stream that was hidden",
    "impossible": "the browser has no WebRTC, or does not accept the ICE servers, which another attempt would not change",
    "due": "the time until the next attempt is over. It doubles with each failure, up to 10 s",
    "answered": "the media server's answer is set",
    "path found": "the peer connection is connected",
    "pass media": "media can be sent and received",
    "path disturbed": "the peer connection is disconnected, perhaps only for a while",
    "unanswered": "the offer has had no answer for 3 s",
    "failed": "the server refused or ended it, the peer connection failed, or it took too long",
    "suspend": "the room closed, and is entered again as soon as possible",
    "begin anew": "the page is back in the room with a new session, and everything of the old one is gone",
    "back": "the page is back in the room with the same session",
    "stop": "the user stopped or hid the stream",
    "over": "the room was left, or the stream has ended"
  },
  "effects": {
    "forget the failures": "the next waiting time is the shortest again",
    "try": "make a peer connection and an offer, and ask the server",
    "part": "close the peer connection, and ask the server to release its side if it has one",
    "part for good": "close the peer connection; the server's side has already ended",
    "look at the server": "find out from the resumed room whether the server still has its side",
    "doubt the connection": "ask the server for a sign of life, because the network may have changed",
    "note the time": "remember the time: failures are forgotten after 10 s with a connection",
    "count": "count the failure",
    "wait": "start the time until the next attempt",
    "tell the failure": "tell the user about the failure"
  }
});
