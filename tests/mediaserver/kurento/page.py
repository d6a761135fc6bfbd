"""The generated parts of docs/mediaserver.md: what exists of Kurento's API, and where answers differ.

`python -m tests.mediaserver.kurento.page` writes them into the page.
"""

from __future__ import annotations

from pathlib import Path

from roomfsm.mediaserver.kurento.objects import MediaElement, MediaObject, MediaPipeline, Unavailable
from roomfsm.mediaserver.kurento.pass_through import PassThrough
from roomfsm.mediaserver.kurento.server_manager import ServerManager
from roomfsm.mediaserver.kurento.webrtc_endpoint import WebRtcEndpoint
from tests.mediaserver.kurento.differences import DIFFERENCES, Kind

PAGE = Path(__file__).parents[3] / "docs" / "mediaserver.md"
TYPES: tuple[tuple[type[MediaObject], type[MediaObject] | None], ...] = (
    (MediaObject, None),
    (ServerManager, MediaObject),
    (MediaPipeline, MediaObject),
    (MediaElement, MediaObject),
    (PassThrough, MediaElement),
    (WebRtcEndpoint, MediaElement),
)
"""Each type, with the type whose operations and events it inherits."""


def differences() -> str:
    """The differences in Markdown. All differences with the same reason share a row."""
    rows: dict[tuple[str, Kind], list[str]] = {}
    for one in DIFFERENCES:
        rows.setdefault((one.reason, one.kind), []).append(f"{one.transcript}: {one.where}")
    lines = ["| recording: where | difference | why |", "|---|---|---|"]
    lines += [f"| {'; '.join(where)} | {kind} | {reason} |" for (reason, kind), where in rows.items()]
    return "\n".join(lines)


def interface() -> str:
    """The operations and events of each type in Markdown."""
    lines = ["| type | operations | events |", "|---|---|---|"]
    refused: dict[str, list[str]] = {}
    for type_, parent in TYPES:
        inherited = parent.OPERATIONS if parent else {}
        operations = []
        for name, operation in type_.OPERATIONS.items():
            if inherited.get(name) is operation:
                continue
            if isinstance(operation, Unavailable):
                refused.setdefault(operation.reason, []).append(name)
            else:
                operations.append(name)
        events = sorted(type_.EVENTS - (parent.EVENTS if parent else frozenset()))
        name = type_.__name__ if parent is None else f"{type_.__name__} (and {parent.__name__}'s)"
        lines.append(f"| {name} | {_names(_paired(operations))} | {_names(events)} |")
    lines += ["", "The server answers these operations of Kurento's with the error 40006 and this message:", ""]
    lines += [f"- {_names(_paired(dict.fromkeys(names)))}: *{reason}.*" for reason, names in refused.items()]
    return "\n".join(lines)


def _paired(names: list[str] | dict[str, None]) -> list[str]:
    """The names in order. A getter and its setter become one name."""
    stems = {name[3:] for name in names if name.startswith("set")}
    paired = [f"get/set{name[3:]}" if name[:3] == "get" and name[3:] in stems else name for name in names]
    return [name for name in paired if not (name[:3] == "set" and f"get{name[3:]}" in names)]


def _names(names: list[str]) -> str:
    return " ".join(f"`{name}`" for name in names)


PARTS = {"interface": interface, "differences": differences}


def fill(page: str) -> str:
    """The page with its generated parts made anew."""
    for name, make in PARTS.items():
        begin, end = (
            f"<!-- {name}: made by python -m tests.mediaserver.kurento.page -->\n\n",
            f"\n\n<!-- end of {name} -->",
        )
        before, found, rest = page.partition(begin)
        _, closed, after = rest.partition(end)
        assert found, f"the page has no part {name!r}"
        assert closed, f"the page's part {name!r} has no end"
        page = before + begin + make() + end + after
    return page


if __name__ == "__main__":
    PAGE.write_text(fill(PAGE.read_text()))
