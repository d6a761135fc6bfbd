"""Checks this machine: its limits and its clock."""

from __future__ import annotations

import ctypes
import os
import resource
from contextlib import suppress
from pathlib import Path

from roomfsm.check.findings import Finding, ok, warning
from roomfsm.mediaserver.base.settings import EngineSettings
from roomfsm.open_files import RESERVED
from roomfsm.settings import Settings

_RMEM_MAX = Path("/proc/sys/net/core/rmem_max")
_TIME_ERROR = 5
"""What `adjtimex` returns if nobody keeps the clock right (`TIME_ERROR` of `sys/timex.h`)."""
_TIMEX_BYTES = 512
"""More than `struct timex` takes on any system (208 bytes on 64 bits). All zero, it asks and changes nothing."""


async def check_limits(settings: Settings) -> list[Finding]:
    """Whether the system allows as much as the settings do."""
    _, files = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = min(settings.signaling.max_sessions, settings.door.max_connections)
    findings: list[Finding] = []
    if files != resource.RLIM_INFINITY and files - RESERVED < wanted:
        findings.append(
            warning(
                "limits",
                f"{files} open files are too few for {wanted} browsers (--max-sessions)",
                f"ulimit -Hn {wanted + RESERVED}, or LimitNOFILE={wanted + RESERVED} in the systemd unit",
            )
        )
    else:
        findings.append(ok("limits", f"enough open files for {wanted} browsers"))
    if settings.server.kurento:
        return findings
    processors = len(os.sched_getaffinity(0))
    if settings.server.media_workers > processors:
        findings.append(
            warning(
                "limits",
                f"{settings.server.media_workers} media workers share {processors} processors",
                f"--media-workers {processors}",
            )
        )
    buffer, wanted_buffer = _udp_buffer(), EngineSettings().socket_buffer
    if buffer is not None and buffer < wanted_buffer:
        findings.append(
            warning(
                "limits",
                f"a UDP socket may buffer {buffer} bytes, and bursts of media need {wanted_buffer}",
                f"sysctl -w net.core.rmem_max={wanted_buffer} net.core.wmem_max={wanted_buffer}",
            )
        )
    return findings


def _udp_buffer() -> int | None:
    with suppress(OSError, ValueError):
        return int(_RMEM_MAX.read_text())
    return None


async def check_clock(settings: Settings) -> list[Finding]:  # noqa: ARG001 (as every check)
    """Whether the clock is kept right. Credentials for TURN and tokens are valid by the clock."""
    match _is_synchronised():
        case True:
            return [ok("clock", "it is synchronised")]
        case False:
            mend = "run an NTP client such as systemd-timesyncd or chrony (timedatectl set-ntp true)"
            return [warning("clock", "nothing keeps it right, and credentials expire by it", mend)]
    return [
        warning("clock", "whether it is synchronised is unknown", "compare `date -u` with a clock that is right")
    ]


def _is_synchronised() -> bool | None:
    """What the kernel says (adjtimex(2), which `timedatectl` asks, too); None if it does not say."""
    try:
        # There is no binding of it in Python's library, and `timedatectl` needs systemd.
        state: int = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    except (OSError, AttributeError):
        return None
    return None if state < 0 else state != _TIME_ERROR
