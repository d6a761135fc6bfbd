"""Settings of the inspector, the metrics and the admin API: who may use them, where, and how many may watch."""

from __future__ import annotations

from dataclasses import dataclass, field

from roomfsm import ranges
from roomfsm.hosts import host_and_port
from roomfsm.ranges import SECRET_RULE, Count, Seconds, SettingsError, is_secret


@dataclass(frozen=True, slots=True)
class WebSettings:
    """Settings of the inspector, of the metrics and of the admin API. Raises `SettingsError`."""

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

    metrics_token: str | None = field(
        default=None,
        metadata={
            "help": "The token that opens /metrics for Prometheus, sent as Authorization: Bearer …. Without this "
            "setting there is no /metrics at --port.",
            "secret": True,
            "live": True,
        },
    )
    metrics_bind: str | None = field(
        default=None,
        metadata={
            "help": "The address and port, such as 127.0.0.1:9464, at which /metrics is served by itself, over "
            "plain HTTP. Whoever reaches that port may read it, unless --metrics-token is set."
        },
    )

    admin_token: str | None = field(
        default=None,
        metadata={
            "help": "The token of the admin API (docs/api.md). Without this setting there is no such API.",
            "secret": True,
            "live": True,
        },
    )

    node_requests: Count = field(
        default=1000,
        metadata={
            "help": "The most requests at a time that this server answers because their room or file is here, "
            "although other servers of the same Redis were asked."
        },
    )
    node_answer_timeout: Seconds = field(
        default=30.0,
        metadata={
            "help": "Within how many seconds another server of the same Redis must begin to answer a request that "
            "is passed on to it, or take more of the request's body."
        },
    )
    node_list_timeout: Seconds = field(
        default=1.0,
        metadata={
            "help": "Within how many seconds the other servers of the same Redis must say which rooms they have. "
            "Otherwise a list is made without theirs."
        },
    )

    @property
    def metrics(self) -> bool:
        """Whether the metrics can be read anywhere."""
        return self.metrics_token is not None or self.metrics_bind is not None

    @property
    def metrics_address(self) -> tuple[str, int] | None:
        """The host and port of `metrics_bind`."""
        if self.metrics_bind is None:
            return None
        host, port = host_and_port(self.metrics_bind)
        assert port is not None
        return host, port

    def __post_init__(self) -> None:
        ranges.check(self)
        if self.metrics_token is not None and not is_secret(self.metrics_token):
            raise SettingsError(f"--metrics-token: {SECRET_RULE}")
        if self.metrics_bind is not None:
            try:
                _, port = host_and_port(self.metrics_bind)
            except ValueError as error:
                raise SettingsError(f"--metrics-bind: {error}") from None
            if port is None:
                raise SettingsError(f"--metrics-bind: {self.metrics_bind} has no port: write HOST:PORT")
        if self.inspect_token is not None and not is_secret(self.inspect_token):
            raise SettingsError(f"--inspect-token: {SECRET_RULE}")
        if self.admin_token is not None and not is_secret(self.admin_token):
            raise SettingsError(f"--admin-token: {SECRET_RULE}")
