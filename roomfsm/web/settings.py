"""Settings of the inspector. They say who may use it, and how many pages may watch at a time."""

from __future__ import annotations

from dataclasses import dataclass, field

from roomfsm import ranges
from roomfsm.ranges import SECRET_RULE, Count, Seconds, SettingsError, is_secret


@dataclass(frozen=True, slots=True)
class WebSettings:
    """Settings of the inspector and of the administration of rooms. Raises `SettingsError`."""

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
    inspect_watchers: Count = field(
        default=32, metadata={"help": "How many inspector pages are kept up to date at a time."}
    )
    inspect_interval: Seconds = field(
        default=0.25, metadata={"help": "How many seconds pass at least between two updates of an inspector page."}
    )

    def __post_init__(self) -> None:
        ranges.check(self)
        if self.inspect_token is not None and not is_secret(self.inspect_token):
            raise SettingsError(f"--inspect-token: {SECRET_RULE}")
