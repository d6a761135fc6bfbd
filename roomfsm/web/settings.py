"""Who may look into the rooms from outside, and how many may watch at a time."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class WebSettings:
    """The inspector and the administration of rooms."""

    inspect: bool = field(default=True, metadata={"help": "whether there is an inspector"})
    inspect_token: str | None = field(
        default=None,
        metadata={
            "help": "opens /inspect to whoever knows it; without one the server makes one and prints it",
            "secret": True,
            "live": True,
        },
    )
    inspect_watchers: int = field(
        default=32, metadata={"help": "inspector pages that are kept up to date at a time"}
    )
    inspect_interval: float = field(
        default=0.25, metadata={"help": "seconds between two updates of an inspector page, at least"}
    )
