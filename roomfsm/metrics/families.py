"""The families of metrics as a table: names, labels and words. The page `/metrics` and its documentation are made
from it.

A label never has the name of a room or the id of a person. Its values are words of the tables, of the protocol, of
the settings or of Kurento, and numbers of media servers. So there are always about as many time series.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """How a family behaves in time."""

    GAUGE = "gauge"
    COUNTER = "counter"
    """It only grows, and begins at 0 when the server starts. Its name ends with `_total`."""
    HISTOGRAM = "histogram"
    GAUGE_HISTOGRAM = "gaugehistogram"
    """A distribution of what is now, not of what has happened: it is no use to ask for its rate."""


@dataclass(frozen=True, slots=True)
class Family:
    """One family. `name` is without `_total`, `unit` is what a value is measured in."""

    name: str
    kind: Kind
    labels: tuple[str, ...]
    unit: str
    help: str
    normal: str

    @property
    def full_name(self) -> str:
        """The name as it is in queries. Those of histograms get `_bucket`, `_sum` and `_count` as well."""
        return f"{self.name}_total" if self.kind is Kind.COUNTER else self.name


BUILD = Family("roomfsm_build_info", Kind.GAUGE, ("version", "python"), "1", "The versions that run.", "Always 1.")
SERVER_STATE = Family(
    "roomfsm_server_state",
    Kind.GAUGE,
    ("state",),
    "0 or 1",
    "The state of the server's machine: 1 for the present state, and 0 for the others.",
    "`open`. `draining` only while you end or update the server.",
)
ROOMS = Family("roomfsm_rooms", Kind.GAUGE, ("state",), "rooms", "Rooms by the state of their machine.", "Any.")
PEOPLE = Family("roomfsm_people", Kind.GAUGE, ("role",), "people", "People in rooms, by their role.", "Any.")
WAITING = Family(
    "roomfsm_waiting",
    Kind.GAUGE,
    (),
    "people",
    "People who wait in lobbies until a moderator decides. They are not in `roomfsm_people`.",
    "Any. People who wait for long mean that no moderator is there.",
)
SESSIONS = Family(
    "roomfsm_sessions",
    Kind.GAUGE,
    ("state",),
    "sessions",
    "Sessions of browsers, by the state of their machine.",
    "Few are `away`. Many at once mean that a network failed.",
)
STREAMS = Family(
    "roomfsm_streams",
    Kind.GAUGE,
    ("source", "state"),
    "streams",
    "Streams that people present, by source and by the state of their machine.",
    "Nearly all are `live`.",
)
VIEWS = Family(
    "roomfsm_views",
    Kind.GAUGE,
    ("state",),
    "views",
    "Views (one person watches one stream), by the state of their machine.",
    "Nearly all are `live`. `limited` are views over paths that are too slow for the picture.",
)
FILES = Family(
    "roomfsm_files",
    Kind.GAUGE,
    ("state",),
    "files",
    "Files of the chat, by the state of their machine.",
    "Nearly all are `here`.",
)
FILE_BYTES = Family(
    "roomfsm_file_bytes",
    Kind.GAUGE,
    (),
    "bytes",
    "The places that are kept for files, from their announcement on. Each file takes 64 KiB at least.",
    "Below `--max-files-bytes`.",
)
UPLOADS = Family(
    "roomfsm_uploads",
    Kind.COUNTER,
    ("result",),
    "requests",
    "Requests that brought a file, by their result: `arrived`, `broken_off` (its sender went away, or was too "
    "slow), or the code of the refusal. Files that are refused when they are announced are in `roomfsm_refusals`.",
    "Nearly all are `arrived`. `files_full` means that the disk is full.",
)
CONNECTIONS = Family(
    "roomfsm_connections", Kind.GAUGE, (), "connections", "Open TCP connections.", "Below `--max-connections`."
)
TRANSITIONS = Family(
    "roomfsm_transitions",
    Kind.COUNTER,
    ("machine", "trigger"),
    "steps",
    "Steps of the machines of rooms, doors, seats, streams, views, sessions, the server and the node, by trigger.",
    "Any. A sudden rise of one trigger shows what happens.",
)
REFUSALS = Family(
    "roomfsm_refusals",
    Kind.COUNTER,
    ("code", "message"),
    "errors",
    "Errors that were sent to browsers, by code and by the type of the refused message. `none` means that no "
    "single message was refused, and `unknown` a type that there is not.",
    "Few, compared with the transitions. Our page is refused only when people are too late or not allowed.",
)
LIMITS = Family(
    "roomfsm_limits_hit",
    Kind.COUNTER,
    ("limit",),
    "times",
    "How often something was refused or ended because a limit was reached.",
    "0. Some come with every abuser; a steady rate means that a limit is too small.",
)
CLOSES = Family(
    "roomfsm_websocket_closes",
    Kind.COUNTER,
    ("code",),
    "websockets",
    "Websockets that the server closed, by the name of the close code.",
    "Any of `resumed_elsewhere` and `heartbeat_timeout`. No `internal_error`.",
)
SLOW_CONSUMERS = Family(
    "roomfsm_slow_consumers",
    Kind.COUNTER,
    (),
    "websockets",
    "Websockets that the server closed because too much waited for a browser that read slowly.",
    "0, or some whose network fails.",
)
JOIN = Family(
    "roomfsm_join_seconds",
    Kind.HISTOGRAM,
    ("message",),
    "seconds",
    "Time from the message `join` or `switch` until the room has sent `joined`.",
    "Nearly all below 0.1 s. A password takes about 0.1 s more, because it is hashed slowly on purpose.",
)
STREAM_START = Family(
    "roomfsm_stream_start_seconds",
    Kind.HISTOGRAM,
    (),
    "seconds",
    "Time from the message `publish` until media flow from the browser.",
    "Below 2 s.",
)
VIEW_START = Family(
    "roomfsm_view_start_seconds",
    Kind.HISTOGRAM,
    (),
    "seconds",
    "Time from the message `view` until media flow to the connected browser, as the media server sees it.",
    "Below 2 s.",
)
FIRST_FRAME = Family(
    "roomfsm_first_frame_seconds",
    Kind.HISTOGRAM,
    (),
    "seconds",
    "Time from the message `view` until the page showed the first picture, as the pages themselves report it "
    "(`firstFrame` in `ping`). A client may report anything, so compare it with `roomfsm_view_start_seconds`.",
    "Below 2 s.",
)
OUTBOX_MAX_MESSAGES = Family(
    "roomfsm_outbox_max_messages",
    Kind.GAUGE,
    (),
    "messages",
    "The most messages that wait for one browser now, because it reads slowly.",
    "0 to 10. At `--outbox-messages` the browser is disconnected.",
)
OUTBOX_MAX_BYTES = Family(
    "roomfsm_outbox_max_bytes",
    Kind.GAUGE,
    (),
    "bytes",
    "The most bytes that wait for one browser now.",
    "Below 100 kB. At `--outbox-bytes` the browser is disconnected.",
)
OUTBOX = Family(
    "roomfsm_outbox_messages",
    Kind.GAUGE_HISTOGRAM,
    (),
    "messages",
    "For how many browsers how many messages wait now.",
    "Nearly all in the bucket 0.",
)
MEDIA_SERVER_READY = Family(
    "roomfsm_media_server_ready",
    Kind.GAUGE,
    ("media_server",),
    "0 or 1",
    "Whether the media server gets new pipelines. Media servers have the numbers of their places in `--kurento`; "
    "the embedded one is 1; those that are added, or come from other nodes, have the next numbers of this server.",
    "1.",
)
CALLS = Family(
    "roomfsm_media_calls",
    Kind.COUNTER,
    ("method", "operation", "outcome"),
    "requests",
    "Requests to media servers, by Kurento's method and operation, and how they ended: `ok`, `refused`, "
    "`timeout`, `lost` with the connection, or `cancelled` because nobody needed the answer any more.",
    "Nearly all `ok`. No `timeout`.",
)
CALL_SECONDS = Family(
    "roomfsm_media_call_seconds",
    Kind.HISTOGRAM,
    ("method", "operation"),
    "seconds",
    "Time until the media server answered a request.",
    "Nearly all below 0.1 s.",
)
HELD = Family(
    "roomfsm_media_objects_held",
    Kind.GAUGE,
    ("media_server", "type"),
    "objects",
    "Pipelines and endpoints that this server holds at the media server.",
    "One pipeline for each room with streams, and one endpoint for each stream and view.",
)
REPORTED = Family(
    "roomfsm_media_objects_reported",
    Kind.GAUGE,
    ("media_server", "type"),
    "objects",
    "Pipelines and endpoints that the media server says it holds for this server.",
    "The same as `roomfsm_media_objects_held`, but for those that come and go at that moment.",
)
LEDGER = Family(
    "roomfsm_media_ledger",
    Kind.GAUGE,
    ("media_server", "type", "only"),
    "objects",
    "Objects that only one side knows: `here` are those that this server holds and the media server does not "
    "have, and `there` are those that the media server holds for this server and nobody here knows. Objects that "
    "come and go while the two lists are compared do not count.",
    "0, always. Anything else is a mistake: `there` is a leak.",
)
STOCK_TAKEN = Family(
    "roomfsm_media_stock_taken",
    Kind.GAUGE,
    ("media_server",),
    "0 or 1",
    "Whether the media server said in time what it holds. Without an answer there is no ledger.",
    "1.",
)
BYTES = Family(
    "roomfsm_media_bytes",
    Kind.COUNTER,
    ("media_server", "direction"),
    "bytes",
    "Bytes of media `from_browsers` and `to_browsers`, and of relays `from_media_servers` and `to_media_servers`, "
    "as the media server counts them. Its rate times 8 is the bitrate.",
    "Any.",
)
PACKETS = Family(
    "roomfsm_media_packets",
    Kind.COUNTER,
    ("media_server", "direction"),
    "packets",
    "Packets of media, as the media server counts them.",
    "Any.",
)
LOST = Family(
    "roomfsm_media_packets_lost",
    Kind.COUNTER,
    ("media_server", "direction"),
    "packets",
    "Packets that were lost on the way from browsers, and between media servers. Media servers do not tell what "
    "was lost on the way to browsers: see the NACKs for that.",
    "Below 1 % of the packets.",
)
NACKS = Family(
    "roomfsm_media_nacks",
    Kind.COUNTER,
    ("media_server", "direction"),
    "requests",
    "Requests to send lost packets again (NACK): those of the media server to browsers (`from_browsers`), and "
    "those of browsers to the media server (`to_browsers`). Of relays it is the same with another media server.",
    "Below 1 % of the packets.",
)
STORE_KEEPS = Family(
    "roomfsm_store_keeps",
    Kind.GAUGE,
    (),
    "0 or 1",
    "Whether what rooms promise outlives the server. It is 1 without a store, too: then nothing is promised.",
    "1. With 0, the log says what the store lacks.",
)
STORE_COMMITS = Family(
    "roomfsm_store_commit_seconds",
    Kind.HISTOGRAM,
    (),
    "seconds",
    "How long each commit of the store took. One commit has what all rooms have noted meanwhile.",
    "Below 0.005, most of the time.",
)
STORE_EVENTS = Family(
    "roomfsm_store_events",
    Kind.COUNTER,
    (),
    "events",
    "Durable events of rooms that were given to the store.",
    "Any.",
)
STORE_SNAPSHOTS = Family(
    "roomfsm_store_snapshots",
    Kind.COUNTER,
    (),
    "snapshots",
    "Snapshots of rooms that were given to the store, each in place of the room's events.",
    "One for each `--store-events` events of a room. More of them mean that the store has failed.",
)
STORE_FAILURES = Family(
    "roomfsm_store_failures",
    Kind.COUNTER,
    ("code",),
    "commits",
    "Commits that failed, by what the store lacked (docs/persistence.md).",
    "0.",
)
STORE_WAITING = Family(
    "roomfsm_store_waiting",
    Kind.GAUGE,
    (),
    "events and messages",
    "Events that wait for the store, and messages that wait until these are kept.",
    "Far below `--store-queue`.",
)
STORE_WAITING_BYTES = Family(
    "roomfsm_store_waiting_bytes",
    Kind.GAUGE,
    (),
    "bytes",
    "The bytes of these events and messages.",
    "Far below `--store-queue-bytes`.",
)
STORE_ROOMS = Family(
    "roomfsm_store_rooms_at_start",
    Kind.GAUGE,
    ("what",),
    "rooms",
    "Rooms that the store had when the server started: those that came back, and those that were set aside.",
    "0 for `set_aside`.",
)

NODE_STATE = Family(
    "roomfsm_node_state",
    Kind.GAUGE,
    ("state",),
    "0 or 1",
    "The state of this server's machine as one of several nodes: 1 for the present state. All are 0 without "
    "`--node`.",
    "`member`. `cut_off` means that Redis does not answer.",
)
NODE_OTHERS = Family(
    "roomfsm_node_others",
    Kind.GAUGE,
    ("state",),
    "nodes",
    "Other nodes that this one saw at its last beat: `alive`, `draining`, or `dead`, which is a node whose rooms "
    "nobody has taken yet.",
    "All the others are `alive`.",
)
NODE_MEDIA_SERVERS = Family(
    "roomfsm_node_media_servers",
    Kind.GAUGE,
    ("origin",),
    "media servers",
    "Media servers that this node knows, by the reason: its own `settings`, its own `embedded` one, an "
    "administrator who has `added` them, or other `nodes`, which have them in their settings.",
    "The same sum at all nodes, except for embedded ones that are not shared.",
)
NODE_DIFFERING = Family(
    "roomfsm_node_others_differing",
    Kind.GAUGE,
    (),
    "nodes",
    "Other nodes that have a setting otherwise that all must have alike. The log and the inspector name it.",
    "0.",
)
NODE_LEASE = Family(
    "roomfsm_node_lease_seconds",
    Kind.GAUGE,
    (),
    "seconds",
    "For how long this node's lease is good, if no beat is answered from now on.",
    "More than half of `--node-lease`.",
)
NODE_BEATS = Family(
    "roomfsm_node_beats",
    Kind.COUNTER,
    ("result",),
    "beats",
    "Beats by which this node renewed its lease (`renewed`), and those that had no answer (`missed`).",
    "Three for each `--node-lease`. No `missed`.",
)
NODE_SESSIONS = Family(
    "roomfsm_node_sessions_moved",
    Kind.COUNTER,
    ("way",),
    "sessions",
    "Sessions that moved to this node (`in`) or away (`out`), because their room is there. Rooms that ended here "
    "because another node has them are in `roomfsm_transitions` (`disowned`, `hand_over`).",
    "About as many as people who enter rooms of other nodes than theirs.",
)
NODE_REMOTE = Family(
    "roomfsm_node_remote_browsers",
    Kind.GAUGE,
    ("side",),
    "browsers",
    "Browsers that are connected to this node while their sessions are at others (`edge`), and those of the "
    "sessions here that are connected to others (`home`).",
    "Any.",
)
NODE_MESSAGES = Family(
    "roomfsm_node_messages",
    Kind.COUNTER,
    ("direction",),
    "messages",
    "Messages to other nodes (`sent`) and from them (`received`).",
    "Any.",
)
NODE_BYTES = Family("roomfsm_node_bytes", Kind.COUNTER, ("direction",), "bytes", "Their bytes.", "Any.")
NODE_ENTRIES = Family(
    "roomfsm_node_entries",
    Kind.COUNTER,
    ("direction",),
    "entries",
    "The entries of Redis streams in which they were. Each is a command of Redis.",
    "The busier the nodes are, the more messages are in one.",
)
NODE_WAITING = Family(
    "roomfsm_node_waiting_messages",
    Kind.GAUGE,
    (),
    "messages",
    "The most messages that one other node has not taken yet.",
    "Below 100. At 50,000 the link breaks.",
)
NODE_BROKEN = Family(
    "roomfsm_node_links_broken",
    Kind.COUNTER,
    (),
    "links",
    "How often a link to another node broke: Redis has lost something, or a node took nothing for too long. The "
    "browsers between the two nodes had to come back.",
    "0.",
)
NODE_LOST = Family(
    "roomfsm_node_messages_lost",
    Kind.COUNTER,
    (),
    "messages",
    "Messages of this node that were on their way when a link broke.",
    "0.",
)
NODE_ASKS = Family(
    "roomfsm_node_asks",
    Kind.COUNTER,
    ("result",),
    "requests",
    "HTTP requests and questions that this node has passed on to others: those that were `answered`, and those on "
    "which the other node was `silent`.",
    "No `silent`.",
)
NODE_ANSWERS = Family(
    "roomfsm_node_answer_seconds",
    Kind.HISTOGRAM,
    (),
    "seconds",
    "Time until the other node began to answer.",
    "Nearly all below 0.05 s.",
)

FAMILIES = (
    BUILD,
    SERVER_STATE,
    ROOMS,
    PEOPLE,
    WAITING,
    SESSIONS,
    STREAMS,
    VIEWS,
    FILES,
    FILE_BYTES,
    UPLOADS,
    STORE_KEEPS,
    STORE_COMMITS,
    STORE_EVENTS,
    STORE_SNAPSHOTS,
    STORE_FAILURES,
    STORE_WAITING,
    STORE_WAITING_BYTES,
    STORE_ROOMS,
    NODE_STATE,
    NODE_OTHERS,
    NODE_MEDIA_SERVERS,
    NODE_DIFFERING,
    NODE_LEASE,
    NODE_BEATS,
    NODE_SESSIONS,
    NODE_REMOTE,
    NODE_MESSAGES,
    NODE_BYTES,
    NODE_ENTRIES,
    NODE_WAITING,
    NODE_BROKEN,
    NODE_LOST,
    NODE_ASKS,
    NODE_ANSWERS,
    CONNECTIONS,
    TRANSITIONS,
    REFUSALS,
    LIMITS,
    CLOSES,
    SLOW_CONSUMERS,
    JOIN,
    STREAM_START,
    VIEW_START,
    FIRST_FRAME,
    OUTBOX_MAX_MESSAGES,
    OUTBOX_MAX_BYTES,
    OUTBOX,
    MEDIA_SERVER_READY,
    CALLS,
    CALL_SECONDS,
    HELD,
    REPORTED,
    LEDGER,
    STOCK_TAKEN,
    BYTES,
    PACKETS,
    LOST,
    NACKS,
)
"""All families, in the order of the page. Those of the process and of Python come from prometheus-client."""


def markdown_table() -> str:
    """The families as a table for `docs/metrics.md`."""
    rows = ["| family | kind | labels | unit | what | what is normal |", "|---|---|---|---|---|---|"]
    for family in FAMILIES:
        labels = ", ".join(f"`{label}`" for label in family.labels) or "–"
        cells = (f"`{family.full_name}`", family.kind, labels, family.unit, family.help, family.normal)
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"
