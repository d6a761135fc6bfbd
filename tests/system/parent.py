"""A parent of a media server that can be killed: `python -m tests.system.parent MEMORY FOLDER SETTINGS`.

It prints one line of JSON when its child is ready and knows how long to go on alone. It lives until it is killed.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
import structlog
import trio

from roomfsm.media_server_child import ChildSettings, open_media_server_child


class FileMemory:
    """Implements `roomfsm.media_server_child.Memory` with one file."""

    def __init__(self, file: Path, folders: Sequence[Path]) -> None:
        self.file = file
        self.folders = folders
        self.own = folders[0]

    async def read(self) -> bytes | None:
        return self.file.read_bytes() if self.file.exists() else None

    async def write(self, trace: bytes | None) -> bool:
        try:
            if trace is None:
                self.file.unlink(missing_ok=True)
            else:
                self.file.write_bytes(trace)
        except OSError:
            return False
        return True


async def main(memory: FileMemory, settings: ChildSettings) -> None:
    async with open_media_server_child(settings, structlog.get_logger(), memory) as child:
        heard, usual = trio.Event(), child.heard

        def hear() -> None:
            usual()
            heard.set()

        # When it is heard again, it has been told how long to go on alone.
        child.heard = hear  # type: ignore[method-assign]
        await heard.wait()
        print(json.dumps({"url": child.url, "secret": child.secret, "pid": child.pid}), flush=True)
        await trio.sleep_forever()


if __name__ == "__main__":
    file, folder, given = sys.argv[1:]
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    trio.run(main, FileMemory(Path(file), [Path(folder)]), msgspec.json.decode(given, type=ChildSettings))
