"""The files of the chat: each row of a file's machine, and what the server answers by HTTP.

A server need not take files. Then it tells no `limits.fileBytes`, and refuses them with `no_files`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from functools import partial

from roomfsm.conformance import http
from roomfsm.conformance.checks import steps
from roomfsm.conformance.checks.steps import Place, bring
from roomfsm.conformance.outcome import Failed, Message, NeverReachable, NotReachable, shown
from roomfsm.conformance.scene import Check, Plan, Scene
from roomfsm.conformance.spec import Row

type Play = Callable[[Scene], Awaitable[None]]

_PNG = b"\x89PNG\r\n\x1a\n" + bytes(24)
_PAGE = b"<!doctype html><script>alert(1)</script>"
_SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
_PDF = b"%PDF-1.7\n"
_NAMES = (
    "a\u202egpj.exe",
    "../../etc/passwd",
    "a\x00b\x1fc",
    "C:\\autoexec.bat",
    "Übersicht.pdf",
    "عرض.png",
    "🦉.txt",
)
_FORBIDDEN = frozenset('/\\:*?"<>|') | {
    chr(code) for code in (*range(32), *range(127, 160), *range(0x202A, 0x202F))
}
_OFFERS = 60
"""How many files are announced at most until there is no more place for them."""
_PATIENCE = "needs the server's patience with a file"


def checks(plan: Plan) -> Iterator[Check]:
    """A check for each row of the file's machine, and for the answers by HTTP."""
    for row in plan.spec.rows:
        if row.machine == "file":
            yield Check(f"row/{row.key}", partial(_row, row=row), steps.path_of_row(plan.spec, row))
    for name, play in (
        ("saved", _saved),
        ("shown", _shown),
        ("names", _names),
        ("once", _once),
        ("unknown", _unknown),
        ("too-many-bytes", _too_many_bytes),
        ("private", _private),
    ):
        yield Check(f"file/{name}", play)


def needs_files(scene: Scene) -> None:
    """Raises `NotReachable` if the server takes no files."""
    if scene.plan.bound("fileBytes") == 0:
        raise NotReachable("the server takes no files")


async def accepted(place: Place) -> None:
    """Check that a file is taken, or refused by a server that takes none."""
    if place.room.scene.plan.bound("fileBytes") == 0:
        steps.check_code(await place.ada.ask("sendFile", name="notes.txt", size=3), "no_files")
        return
    await place.room.send_file(place.ada, "notes.txt", b"abc")


async def _row(scene: Scene, *, row: Row) -> None:
    needs_files(scene)
    place = await bring(scene, "waiting")
    match row.trigger, row.source:
        case ("put" | "arrived" | "fetched", _):
            file = await place.room.send_file(place.bob, "notes.txt", b"abc")
            await _comes(scene, file, b"abc")
        case ("broken_off", _):
            path = await place.room.announce_file(place.bob, "notes.txt", 10)
            await http.ask(scene.plan.target, "PUT", path, b"abc", announced=10)
            await _is_not_taken(scene, path)
            await place.room.chat(place.ada)
        case ("dropped", "offered"):
            path = await place.room.announce_file(place.bob, "notes.txt", 3)
            await place.room.leave(place.bob)
            await _is_not_taken(scene, path)
        case ("dropped", "here"):
            file = await place.room.send_file(place.bob, "notes.txt", b"abc")
            await place.room.delete_line(place.ada, file["seq"])
            await _is_gone(scene, file)
        case ("recipient_left", _):
            await _private(scene)
        case ("dropped", _):
            raise NeverReachable("needs the instant in which the bytes come")
        case _:
            raise NeverReachable(_PATIENCE)


async def _saved(scene: Scene) -> None:
    """What could run a script is only saved, never shown, whatever it is called."""
    needs_files(scene)
    place = await bring(scene, "waiting")
    for name, content in (("a.html", _PAGE), ("a.svg", _SVG), ("a.pdf", _PDF), ("a.png", _PAGE), ("empty", b"")):
        file = await place.room.send_file(place.ada, name, content, media_type="application/octet-stream")
        reply = await _comes(scene, file, content)
        if not reply.has("content-disposition", "attachment"):
            raise Failed("Content-Disposition: attachment", str(reply.headers))


async def _shown(scene: Scene) -> None:
    """A picture is known by its bytes, not by its name, and may be shown."""
    needs_files(scene)
    place = await bring(scene, "waiting")
    file = await place.room.send_file(place.ada, "no-picture.txt", _PNG, media_type="image/png")
    reply = await _comes(scene, file, _PNG)
    if not reply.has("content-type", "image/png"):
        raise Failed("Content-Type: image/png", str(reply.headers))
    # Who comes later gets it, too.
    cyd = await place.room.enter("Cyd")
    await place.room.chat(cyd)


async def _names(scene: Scene) -> None:
    """No name can name another folder or turn the direction of the text, and names of all scripts come."""
    needs_files(scene)
    place = await bring(scene, "waiting")
    for name in _NAMES:
        file = await place.room.send_file(place.ada, name, b"abc", told=None)
        told = str(file["file"]["name"])
        plain = not _FORBIDDEN & set(name) and ".." not in name
        if _FORBIDDEN & set(told) or told.startswith(".") or (plain and told != name):
            raise Failed("a name that every computer can save, and that is not changed without need", repr(told))


async def _once(scene: Scene) -> None:
    """The bytes of a file can be brought only once."""
    needs_files(scene)
    place = await bring(scene, "waiting")
    path = await place.room.announce_file(place.ada, "notes.txt", 3)
    file = await place.room.bring_file(place.ada, path, "notes.txt", b"abc")
    await _is_not_taken(scene, path)
    await _comes(scene, file, b"abc")
    await place.room.chat(place.bob)


async def _unknown(scene: Scene) -> None:
    """Nobody fetches or brings a file without having been told where."""
    needs_files(scene)
    place = await bring(scene, "waiting")
    path = await place.room.announce_file(place.ada, "notes.txt", 3)
    await _is_not_taken(scene, path[:-1] + ("A" if path[-1] != "A" else "B"))
    file = await place.room.bring_file(place.ada, path, "notes.txt", b"abc")
    reply = await http.ask(scene.plan.target, "GET", path)
    if reply is None or reply.status < 400:
        raise Failed("nothing at the address to which the bytes went", str(reply))
    await _comes(scene, file, b"abc")


async def _too_many_bytes(scene: Scene) -> None:
    """A file that is longer than was announced is told to nobody."""
    needs_files(scene)
    place = await bring(scene, "waiting")
    path = await place.room.announce_file(place.ada, "notes.txt", 3)
    await _is_not_taken(scene, path, b"abcd")
    path = await place.room.announce_file(place.ada, "notes.txt", 3)
    await _is_not_taken(scene, path, b"abcd", announced=-1)
    await place.room.chat(place.bob)


async def _private(scene: Scene) -> None:
    """A file for one person is told to nobody else, and goes when that person leaves."""
    needs_files(scene)
    place = await bring(scene, "waiting")
    cyd = await place.room.enter("Cyd")
    file = await place.room.send_file(place.ada, "notes.txt", b"abc", to=cyd)
    await _comes(scene, file, b"abc")
    await place.room.leave(cyd)
    await _is_gone(scene, file)


async def incomplete(scene: Scene, *, trigger: str) -> None:
    """A file that is shorter than was announced is told to nobody. The head may say so, or only the end."""
    needs_files(scene)
    place = await bring(scene, "waiting")
    path = await place.room.announce_file(place.ada, "notes.txt", 4)
    announced = 3 if trigger == "put" else -1
    await _is_refused(scene, path, "file_incomplete", announced)
    await place.room.chat(place.bob)


async def no_files(scene: Scene) -> None:
    """A moderator can have a room take no files, and take them again."""
    place = await bring(scene, "waiting")
    if scene.plan.bound("fileBytes") > 0:
        await place.room.configure(place.ada, files=False)
    for person in (place.ada, place.bob):
        steps.check_code(await person.ask("sendFile", name="notes.txt", size=3), "no_files")
    if scene.plan.bound("fileBytes") > 0:
        await place.room.configure(place.ada, files=True)
        await place.room.send_file(place.bob, "notes.txt", b"abc")


async def too_large(scene: Scene) -> None:
    """A file may have as many bytes as the limit says, and not one more."""
    needs_files(scene)
    place = await bring(scene, "waiting")
    most = scene.plan.bound("fileBytes")
    reply = await place.bob.ask("sendFile", name="notes.txt", size=most + 1)
    steps.check_code(reply, "file_too_large")
    reply = await place.bob.ask("sendFile", name="notes.txt", size=most)
    if reply["type"] != "upload":
        steps.check_code(reply, "files_full")


async def full(scene: Scene) -> None:
    """One person cannot announce files without end, and another person may still send one."""
    needs_files(scene)
    place = await bring(scene, "waiting")
    for _ in range(_OFFERS):
        reply = await place.bob.ask("sendFile", name="notes.txt", size=scene.plan.bound("fileBytes"))
        if reply["type"] != "upload":
            break
    else:
        raise NotReachable(f"{_OFFERS} files of the largest size have a place")
    if reply.get("code") == "rate_limited":
        raise NotReachable("the person's rate is reached before the places are taken")
    steps.check_code(reply, "files_full")
    await place.room.send_file(place.ada, "notes.txt", b"abc")


async def not_told(scene: Scene, *, code: str) -> None:
    """A file for one person whom it cannot be told is not taken, nor one that answers a line that there is not."""
    needs_files(scene)
    place = await bring(scene, "waiting")
    fields: Message = {"name": "notes.txt", "size": 3}
    match code:
        case "no_such_participant":
            fields["to"] = "nobody"
        case "yourself":
            fields["to"] = place.ada.me
        case "participant_away":
            await place.room.lose(place.bob)
            fields["to"] = place.bob.me
        case "no_such_line":
            fields["replyTo"] = 77
    steps.check_code(await place.ada.ask("sendFile", **fields), code)
    await place.room.chat(place.ada)


async def not_taken(scene: Scene, *, code: str) -> None:
    """If something has come between since a file was announced, nobody but its sender is told of it."""
    needs_files(scene)
    place = await bring(scene, "waiting")
    cyd = await place.room.enter("Cyd")
    path = await place.room.announce_file(place.bob, "notes.txt", 3, None if code == "no_files" else cyd)
    match code:
        case "no_files":
            await place.room.configure(place.ada, files=False)
        case "no_such_participant":
            await place.room.leave(cyd)
        case "participant_away":
            await place.room.lose(cyd)
    await _is_refused(scene, path, code)
    # It is gone now, whatever changes.
    await _is_refused(scene, path, "no_such_file")
    await place.room.chat(place.bob)


async def _is_refused(scene: Scene, path: str, code: str, announced: int | None = None) -> None:
    reply = await http.ask(scene.plan.target, "PUT", path, b"abc", announced)
    if reply is None or reply.status < 400 or code.encode() not in reply.body:
        raise Failed(f"a refusal of the bytes with the code {code}", str(reply))


async def _comes(scene: Scene, line: Message, content: bytes) -> http.Reply:
    """Check that the file of a line can be fetched, and that it can do no harm."""
    reply = await http.ask(scene.plan.target, "GET", line["file"]["path"])
    if reply is None or reply.status != 200 or reply.body != content:
        raise Failed(f"the {len(content)} bytes of the file", str(reply))
    if not reply.has("x-content-type-options", "nosniff") or not reply.has("content-security-policy", "sandbox"):
        raise Failed("X-Content-Type-Options: nosniff, and Content-Security-Policy: sandbox", str(reply.headers))
    return reply


async def _is_gone(scene: Scene, line: Message) -> None:
    reply = await http.ask(scene.plan.target, "GET", line["file"]["path"])
    if reply is None or reply.status != 404:
        raise Failed("status 404", str(reply))


async def _is_not_taken(scene: Scene, path: str, content: bytes = b"abc", announced: int | None = None) -> None:
    reply = await http.ask(scene.plan.target, "PUT", path, content, announced)
    if reply is None or not 400 <= reply.status < 500:
        raise Failed(
            f"a refusal of the bytes for {path}", shown({"status": None if reply is None else reply.status})
        )
