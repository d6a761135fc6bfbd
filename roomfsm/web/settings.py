"""Settings of the inspector. They say who may use it, and how many pages may watch at a time."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class WebSettings:
    """Settings of the inspector and of the administration of rooms."""

    inspect: bool = field(default=True, metadata={"help": "Whether there is an inspector."})
    inspect_token: str | None = field(
        default=None,
        metadata={
            "help": "The token that opens /inspect. Without this setting the server makes a new token at each "
            "start and prints it.",
            "secret": True,
            "live": True,
        },
    )
    inspect_watchers: int = field(
        default=32, metadata={"help": "How many inspector pages are kept up to date at a time."}
    )
    inspect_interval: float = field(
        default=0.25, metadata={"help": "How many seconds pass at least between two updates of an inspector page."}
    )
