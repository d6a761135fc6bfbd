"""The name under which a file of the chat is shown and saved, made from the name that its sender's computer gave
it.

A person's name is refused if it is wrong, because the person can choose another one. A file has its name already,
and whoever drops it on a page wants to send it, not to rename it. So a file's name is mended:

- Characters that change the direction of the text are left out, because with them `exe.gpj` on the screen can be
  `jpg.exe` on the disk. So are other characters that look like nothing, unless they join an emoji or belong to
  a script.
- What Windows or Unix do not take in a name (slashes, colons, control characters, …) becomes `_`, and a name that
  Windows keeps for a device gets a `_` in front (Microsoft, "Naming Files, Paths, and Namespaces").
- Dots at the beginning, which hide a file on Unix, dots and spaces at the end, which Windows removes, and spaces
  at the beginning are left out.
- The name is in normal form C, and has at most 255 bytes in UTF-8, as most file systems want. If it must be cut,
  its extension stays.
"""

from __future__ import annotations

import re
import unicodedata

from roomfsm.protocol.names import BLANK

MAX_BYTES = 255
_LONGEST_EXTENSION = 32
"""An extension with more bytes than this is none that a program knows, and may be cut."""
_UNNAMED = "file"
_JOINERS = frozenset("\u200c\u200d")
"""They belong to scripts, such as Persian, and to emoji."""
_FLAG_TAGS = range(0xE0020, 0xE0080)
"""They belong to the flags of regions."""
_NO_COMPUTER_TAKES = re.compile(r'[\x00-\x1f\x7f-\x9f/\\:*?"<>|\u2028\u2029\ud800-\udfff]')
_FILLERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0")
"""Letters and marks that Unicode lets programs show as nothing (Default_Ignorable_Code_Point)."""
_AT_THE_ENDS = re.compile(r"^[\s.]+|[\s.]+$")
_DEVICES = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])\s*(\.|$)", re.IGNORECASE)


def file_name(text: str) -> str:
    """The name of a file that came with the name `text`. It is never empty, and every computer can save it."""
    name = "".join(character for character in _NO_COMPUTER_TAKES.sub("_", text) if _stays(character))
    name = _AT_THE_ENDS.sub("", unicodedata.normalize("NFC", name))
    if not any(_shows(character) for character in name):
        return _UNNAMED
    if _DEVICES.match(name):
        name = f"_{name}"
    return _cut(name)


def _shows(character: str) -> bool:
    return not (character in "._\ufe0f" or character.isspace() or unicodedata.category(character) == "Cf")


def _stays(character: str) -> bool:
    if character in BLANK or character in _FILLERS:
        return False
    return unicodedata.category(character) != "Cf" or character in _JOINERS or ord(character) in _FLAG_TAGS


def _cut(name: str) -> str:
    if len(name.encode()) <= MAX_BYTES:
        return name
    stem, dot, extension = name.rpartition(".")
    end = f"{dot}{extension}"
    if not stem or len(end.encode()) > _LONGEST_EXTENSION:
        stem, end = name, ""
    room = MAX_BYTES - len(end.encode())
    # A character that was cut through is left out.
    stem = stem.encode()[:room].decode(errors="ignore")
    return _AT_THE_ENDS.sub("", stem) + end
