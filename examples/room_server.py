"""A room server inside a Trio program of your own, with a task beside it: here every room is closed after an hour.

    uv run python examples/room_server.py --port 8080 --hours 1

`open_server` takes no signals, prints nothing and sets up no log: your program does what it wants of these.
"""

import argparse
import logging
import signal

import trio

from roomfsm.server import Running, open_server
from roomfsm.settings import ServerSettings, Settings
from roomfsm.store.settings import StoreSettings


async def close_old_rooms(running: Running, seconds: float) -> None:
    """Close each room that has been open for so long; whoever is in it is told the reason."""
    opened: dict[str, float] = {}
    while True:
        now = trio.current_time()
        open_rooms = {room.name: room for room in running.directory.summaries()}
        opened = {name: opened.get(name, now) for name in open_rooms}
        for name, room in open_rooms.items():
            if now - opened[name] >= seconds:
                print(f"closing {name}: {room.participants} people, {room.streams} streams", flush=True)
                await running.directory.close_room(name, "the hour is over")
        await trio.sleep(min(seconds / 4, 10))


async def main(settings: Settings, seconds: float) -> None:
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with open_server(settings) as running, trio.open_nursery() as nursery:
            print(f"http://127.0.0.1:{running.port}/", flush=True)
            nursery.start_soon(close_old_rooms, running, seconds)
            async for number in signals:
                print(f"{signal.Signals(number).name}: everybody is told, everything is released", flush=True)
                break
            nursery.cancel_scope.cancel()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A room server whose rooms end after a while.")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--media-host", default="127.0.0.1", help="the address for media")
    parser.add_argument("--hours", type=float, default=1.0, help="for how long a room may be open")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    # Without `kurento=(…,)` the embedded media server is started as a child process.
    server = ServerSettings(port=arguments.port, media_host=arguments.media_host)
    # Without this the rooms would be kept, in the folder in which `roomfsm serve` of the same user keeps its own.
    store = StoreSettings(data="none")
    trio.run(main, Settings(server=server, store=store), arguments.hours * 3600)
