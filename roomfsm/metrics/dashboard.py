"""The dashboard for Grafana (`docs/grafana.json`), made from a table of panels.

It asks for the data source and the instances, so it can be imported as it is. Every query is put to a real
Prometheus by a test.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

_WIDTH, _HEIGHT = 8, 8
"""The size of a panel. A row of the dashboard is 24 wide."""
_ROW = 24
_FROM = '{instance=~"$instance"}'


@dataclass(frozen=True, slots=True)
class Panel:
    """One graph: its queries, each with its legend, and in a sentence what it shows."""

    title: str
    what: str
    unit: str
    queries: tuple[tuple[str, str], ...]
    stacked: bool = False


@dataclass(frozen=True, slots=True)
class Section:
    """Panels under one title."""

    title: str
    panels: tuple[Panel, ...]


def _now(family: str, by: str) -> str:
    return f"sum by ({by}) ({family}{_FROM})"


def _rate(family: str, by: str, more: str = "") -> str:
    return f'sum by ({by}) (rate({family}{{instance=~"$instance"{more}}}[$__rate_interval]))'


def _quantiles(family: str) -> tuple[tuple[str, str], ...]:
    buckets = _rate(f"{family}_bucket", "le")
    return tuple((f"histogram_quantile({share}, {buckets})", legend) for share, legend in _SHARES)


_SHARES = ((0.5, "half"), (0.95, "95 %"), (0.99, "99 %"))

_SENT = ',direction="sent"'

SECTIONS = (
    Section(
        "Who is here",
        (
            Panel(
                "People",
                "People in rooms, by role.",
                "short",
                ((_now("roomfsm_people", "role"), "{{role}}"),),
                stacked=True,
            ),
            Panel(
                "Rooms",
                "Rooms by state.",
                "short",
                ((_now("roomfsm_rooms", "state"), "{{state}}"),),
                stacked=True,
            ),
            Panel(
                "Sessions",
                "Sessions by state, and open connections.",
                "short",
                (
                    (_now("roomfsm_sessions", "state"), "{{state}}"),
                    (f"sum(roomfsm_connections{_FROM})", "connections"),
                ),
            ),
            Panel(
                "Streams",
                "Streams by source.",
                "short",
                ((_now("roomfsm_streams", "source"), "{{source}}"),),
                stacked=True,
            ),
            Panel(
                "Views",
                "Views by state. `limited` means that the path is too slow for the picture.",
                "short",
                ((_now("roomfsm_views", "state"), "{{state}}"),),
                stacked=True,
            ),
            Panel(
                "Server",
                "The state of each server.",
                "short",
                ((f"max by (instance, state) (roomfsm_server_state{_FROM}) == 1", "{{instance}} {{state}}"),),
            ),
        ),
    ),
    Section(
        "How it feels",
        (
            Panel("Time to join", "From `join` or `switch` to `joined`.", "s", _quantiles("roomfsm_join_seconds")),
            Panel(
                "Time until a view has media",
                "From `view` until media flow to the browser.",
                "s",
                _quantiles("roomfsm_view_start_seconds"),
            ),
            Panel(
                "Time until a stream has media",
                "From `publish` until media flow from the browser.",
                "s",
                _quantiles("roomfsm_stream_start_seconds"),
            ),
            Panel(
                "Time to the first frame",
                "From `view` until the page showed a picture, as the pages report it.",
                "s",
                _quantiles("roomfsm_first_frame_seconds"),
            ),
            Panel(
                "Bitrate",
                "Media from and to browsers.",
                "bps",
                ((f"8 * {_rate('roomfsm_media_bytes_total', 'direction')}", "{{direction}}"),),
            ),
            Panel(
                "Lost packets",
                "Share of the packets from browsers that were lost.",
                "percentunit",
                (
                    (
                        f"{_rate('roomfsm_media_packets_lost_total', 'direction')} / "
                        f"({_rate('roomfsm_media_packets_total', 'direction')} > 0)",
                        "{{direction}}",
                    ),
                ),
            ),
            Panel(
                "Packets asked for again",
                "Requests to send lost packets again (NACK), a second.",
                "short",
                ((_rate("roomfsm_media_nacks_total", "direction"), "{{direction}}"),),
            ),
        ),
    ),
    Section(
        "What is refused",
        (
            Panel(
                "Refusals",
                "Errors to browsers, a second, by code.",
                "short",
                ((_rate("roomfsm_refusals_total", "code"), "{{code}}"),),
            ),
            Panel(
                "Limits hit",
                "How often a limit was reached, a second.",
                "short",
                ((_rate("roomfsm_limits_hit_total", "limit"), "{{limit}}"),),
            ),
            Panel(
                "Websockets closed by the server",
                "By close code, a second.",
                "short",
                ((_rate("roomfsm_websocket_closes_total", "code"), "{{code}}"),),
            ),
            Panel(
                "Deepest outbox",
                "What waits for the slowest browser.",
                "bytes",
                ((f"max by (instance) (roomfsm_outbox_max_bytes{_FROM})", "{{instance}}"),),
            ),
            Panel(
                "Outboxes",
                "For how many browsers at most so many messages wait.",
                "short",
                ((_now("roomfsm_outbox_messages_bucket", "le"), "{{le}}"),),
            ),
            Panel(
                "Slow consumers",
                "Browsers that were disconnected because they read too slowly, a second.",
                "short",
                ((_rate("roomfsm_slow_consumers_total", "instance"), "{{instance}}"),),
            ),
        ),
    ),
    Section(
        "Media servers",
        (
            Panel(
                "Ready",
                "Whether each media server gets new pipelines.",
                "short",
                (
                    (
                        f"min by (instance, media_server) (roomfsm_media_server_ready{_FROM})",
                        "{{instance}} {{media_server}}",
                    ),
                ),
            ),
            Panel(
                "Ledger",
                "Objects that only one side knows. It must be 0.",
                "short",
                ((_now("roomfsm_media_ledger", "media_server, type, only"), "{{type}} only {{only}}"),),
            ),
            Panel(
                "Pipelines and endpoints",
                "What we hold there.",
                "short",
                ((_now("roomfsm_media_objects_held", "media_server, type"), "{{media_server}} {{type}}"),),
            ),
            Panel(
                "Requests",
                "Requests to media servers, a second, by how they ended.",
                "reqps",
                ((_rate("roomfsm_media_calls_total", "outcome"), "{{outcome}}"),),
            ),
            Panel(
                "Time for an answer",
                "Time until media servers answer requests.",
                "s",
                _quantiles("roomfsm_media_call_seconds"),
            ),
            Panel(
                "Slowest operations",
                "The mean time for an answer, of the five slowest operations.",
                "s",
                (
                    (
                        f"topk(5, {_rate('roomfsm_media_call_seconds_sum', 'method, operation')} / "
                        f"({_rate('roomfsm_media_call_seconds_count', 'method, operation')} > 0))",
                        "{{method}} {{operation}}",
                    ),
                ),
            ),
        ),
    ),
    Section(
        "Several nodes",
        (
            Panel(
                "Nodes",
                "The state of each server as a node.",
                "short",
                ((f"max by (instance, state) (roomfsm_node_state{_FROM}) == 1", "{{instance}} {{state}}"),),
            ),
            Panel(
                "Leases",
                "For how long each node's lease is good. At 0 the others take its rooms.",
                "s",
                ((f"min by (instance) (roomfsm_node_lease_seconds{_FROM})", "{{instance}}"),),
            ),
            Panel(
                "Beats without an answer",
                "Beats that Redis has not answered, a second.",
                "short",
                ((_rate("roomfsm_node_beats_total", "instance", ',result="missed"'), "{{instance}}"),),
            ),
            Panel(
                "Messages between nodes",
                "Messages that nodes sent each other, and the entries in which they were, a second.",
                "short",
                (
                    (_rate("roomfsm_node_messages_total", "instance", _SENT), "{{instance}} messages"),
                    (_rate("roomfsm_node_entries_total", "instance", _SENT), "{{instance}} entries"),
                ),
            ),
            Panel(
                "Bytes between nodes",
                "Bytes that nodes sent each other, a second.",
                "Bps",
                ((_rate("roomfsm_node_bytes_total", "instance", _SENT), "{{instance}}"),),
            ),
            Panel(
                "Links",
                "Messages that another node has not taken yet, and links that broke, a second.",
                "short",
                (
                    (f"max by (instance) (roomfsm_node_waiting_messages{_FROM})", "{{instance}} waiting"),
                    (_rate("roomfsm_node_links_broken_total", "instance"), "{{instance}} broken"),
                ),
            ),
            Panel(
                "Sessions that move",
                "Sessions that moved to a node and away from it, a second.",
                "short",
                ((_rate("roomfsm_node_sessions_moved_total", "instance, way"), "{{instance}} {{way}}"),),
            ),
            Panel(
                "Time for another node's answer",
                "Time until another node began to answer a request by HTTP.",
                "s",
                _quantiles("roomfsm_node_answer_seconds"),
            ),
        ),
    ),
    Section(
        "Inside",
        (
            Panel(
                "Transitions",
                "Steps of the machines, a second.",
                "short",
                ((_rate("roomfsm_transitions_total", "machine"), "{{machine}}"),),
            ),
            Panel(
                "Busiest triggers",
                "The ten triggers that come most often, a second.",
                "short",
                (
                    (
                        f"topk(10, {_rate('roomfsm_transitions_total', 'machine, trigger')})",
                        "{{machine}} {{trigger}}",
                    ),
                ),
            ),
            Panel(
                "Processor",
                "Processor time of the room server. 1 is all that one process can use.",
                "short",
                ((_rate("process_cpu_seconds_total", "instance"), "{{instance}}"),),
            ),
            Panel(
                "Memory",
                "Memory of the room server, without the media server.",
                "bytes",
                ((_now("process_resident_memory_bytes", "instance"), "{{instance}}"),),
            ),
            Panel(
                "Open files",
                "Open files, as a share of what the system allows.",
                "percentunit",
                ((f"process_open_fds{_FROM} / process_max_fds{_FROM}", "{{instance}}"),),
            ),
            Panel(
                "Garbage collections",
                "Collections a second, by generation.",
                "short",
                ((_rate("python_gc_collections_total", "generation"), "{{generation}}"),),
            ),
        ),
    ),
)

_SOURCE = {"type": "prometheus", "uid": "${datasource}"}


def dashboard() -> dict[str, Any]:
    """The dashboard in Grafana's JSON model (schema 39, Grafana 10 and newer)."""
    panels: list[dict[str, Any]] = []
    top = 0
    for section in SECTIONS:
        place = {"x": 0, "y": top, "w": _ROW, "h": 1}
        panels.append(
            {"type": "row", "id": len(panels) + 1, "title": section.title, "collapsed": False, "gridPos": place}
        )
        top += 1
        for number, panel in enumerate(section.panels):
            across, down = number % (_ROW // _WIDTH), number // (_ROW // _WIDTH)
            place = {"x": across * _WIDTH, "y": top + down * _HEIGHT, "w": _WIDTH, "h": _HEIGHT}
            panels.append(_panel(panel, len(panels) + 1, place))
        top += -(-len(section.panels) // (_ROW // _WIDTH)) * _HEIGHT
    return {
        "title": "roomfsm",
        "uid": "roomfsm",
        "tags": ["roomfsm"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "timezone": "browser",
        "templating": {
            "list": [
                {
                    "name": "datasource",
                    "label": "Data source",
                    "type": "datasource",
                    "query": "prometheus",
                    "current": {},
                },
                {
                    "name": "instance",
                    "label": "Server",
                    "type": "query",
                    "datasource": _SOURCE,
                    "query": {"query": "label_values(roomfsm_build_info, instance)", "refId": "instance"},
                    "refresh": 2,
                    "multi": True,
                    "includeAll": True,
                    "allValue": ".*",
                    "current": {"text": "All", "value": "$__all"},
                },
            ]
        },
        "panels": panels,
    }


def as_text() -> str:
    """The content of `docs/grafana.json`."""
    return json.dumps(dashboard(), indent=2) + "\n"


def _panel(panel: Panel, number: int, place: dict[str, int]) -> dict[str, Any]:
    drawn = {
        "fillOpacity": 20 if panel.stacked else 0,
        "stacking": {"mode": "normal" if panel.stacked else "none"},
    }
    return {
        "type": "timeseries",
        "id": number,
        "title": panel.title,
        "description": panel.what,
        "datasource": _SOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0, "custom": drawn}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
        "targets": [
            {"refId": chr(ord("A") + place), "datasource": _SOURCE, "expr": query, "legendFormat": legend}
            for place, (query, legend) in enumerate(panel.queries)
        ],
    }
