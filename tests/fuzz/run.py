"""Coverage-guided fuzzing of one parser, or of all in turn, with atheris.

`uv run --group fuzz python -m tests.fuzz.run PARSER|all [--minutes 5] [--keep FOLDER]`. Starts from the corpus in
the tests; what else reaches new code is kept in FOLDER. Ends with the executions, or at the first finding, whose
input is written to the present folder as `crash-…`: put it into the corpus with the mending.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

MAX_INPUT = {"answer": 8192, "sdp": 8192, "datagrams": 4096, "dtls": 4096}
"""Bytes; of the others 1500, a datagram."""
NAMES = (
    "alerts",
    "answer",
    "candidate",
    "datagrams",
    "dtls",
    "estimator",
    "forwarding",
    "framing",
    "layers",
    "red",
    "rtcp",
    "rtp",
    "sdp",
    "stun",
    "transport_cc",
    "transport_feedback",
)


def fuzz(parser: str, minutes: float, keep: Path) -> None:
    """Never returns: libFuzzer ends the process, with 0 if it found nothing."""
    import atheris

    with atheris.instrument_imports(include=["roomfsm.mediaserver"]):
        from tests.fuzz.parsers import PARSERS
    from tests.fuzz.corpus import FOLDER

    options = [
        f"-max_total_time={int(minutes * 60)}",
        f"-max_len={MAX_INPUT.get(parser, 1500)}",
        "-timeout=20",
        "-rss_limit_mb=2048",
        "-print_final_stats=1",
        "-verbosity=0",
    ]
    atheris.Setup([sys.argv[0], *options, str(keep), str(FOLDER / parser)], PARSERS[parser])
    atheris.Fuzz()


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("parser", choices=[*NAMES, "all"])
    arguments.add_argument("--minutes", type=float, default=5.0)
    arguments.add_argument("--keep", type=Path)
    given = arguments.parse_args()
    if given.parser == "all":
        for name in NAMES:
            print(f"== {name}", flush=True)
            command = [sys.executable, "-m", "tests.fuzz.run", name, f"--minutes={given.minutes}"]
            if given.keep:
                command.append(f"--keep={given.keep / name}")
            subprocess.run(command, check=True)
        return
    if given.keep:
        given.keep.mkdir(parents=True, exist_ok=True)
        fuzz(given.parser, given.minutes, given.keep)
    with tempfile.TemporaryDirectory() as folder:
        fuzz(given.parser, given.minutes, Path(folder))


if __name__ == "__main__":
    main()
