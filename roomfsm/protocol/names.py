"""What a room or a person may be called, which names are the same, and which look alike.

Three questions are asked of a name, and each has a standard of its own:

- *May it be a name?* PRECIS (RFC 8264) says which characters of which scripts belong into identifiers and into
  free text, and in which context: a zero-width non-joiner between two Persian letters is right, alone it is
  invisible. Room names are of its IdentifierClass, display names are nicknames (RFC 8266). PRECIS lets any number
  of accents pile up on one letter, and knows nothing of emoji that are sequences of characters. UTS 39 section 5.4
  bounds the accents; for the emoji there is Unicode's list of those recommended for general interchange.
- *Is it the same name?* Room names are compared by `room_key`, a compatibility caseless match. The server tells
  the key to whoever must compare names, so that nobody else needs these rules.
- *Does it look like another?* Two names look alike if their skeletons (UTS 39 section 4) are equal.

Nothing here is asked for each message: only `join`, `switch` and `rename` carry names, and what the libraries
need for one, up to half a millisecond, is spent only on who may still come in or be renamed.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections import defaultdict
from functools import cache, lru_cache
from importlib import resources
from typing import Any

from precis_i18n import get_profile

from roomfsm.protocol.fields import MAX_DISPLAY_NAME, MAX_ROOM_NAME

MAX_NONSPACING = 4
"""Nonspacing marks that may follow each other (UTS 39 section 5.4)."""

_PLAIN = re.compile(r"[A-Za-z0-9_\-][A-Za-z0-9._\-]*")
"""Names that need no library, which most are."""
_ROOM_SIGNS = frozenset("._-")
_BLANK = frozenset("\u2800\U0001d159\U00013441\U00013442\U00016fe4")
"""Blank to the eye, yet neither spaces nor ignorable by Unicode's properties, so that PRECIS lets them pass."""
_SEQUENCE = re.compile("[\u200d\ufe0f\U000e0020-\U000e007f\u20e3\U0001f3fb-\U0001f3ff]")
"""What makes a sequence of several characters one emoji."""
_IGNORABLE = dict.fromkeys((0x200C, 0x200D, 0xFE0F, *range(0xE0020, 0xE0080)))
"""The Default_Ignorable code points that a good name can have."""
_TOO_LONG = f"A name has at most {MAX_DISPLAY_NAME} characters."
_STAND_IN = "\u2603"
"""An emoji of one character, which PRECIS takes and does not change."""


class NameFault(ValueError):
    """The text cannot be such a name; the message is a sentence for people that says why."""


def room_name(text: str) -> str:
    """The room name that `text` is, in Unicode's normal form C; its case and width stay as they are written.

    Beside letters, digits and marks (the IdentifierClass of RFC 8264 section 4.2) it may have '.', '_' and '-'.
    The rule of RFC 5893 about directions is left out, because people do mix Hebrew or Arabic with Latin letters.
    Raises `NameFault`.
    """
    if _PLAIN.fullmatch(text) and len(text) <= MAX_ROOM_NAME:
        return text
    name = unicodedata.normalize("NFC", text)
    if not name:
        raise NameFault("A room name has at least one character.")
    if len(name) > MAX_ROOM_NAME:
        raise NameFault(f"A room name has at most {MAX_ROOM_NAME} characters.")
    if any(character.isspace() for character in name):
        raise NameFault("A room name has no spaces; use “-” or “_” instead.")
    if name in (".", ".."):
        raise NameFault("A room name is more than one or two dots: no address could name the room.")
    compatible = unicodedata.normalize("NFKC", name)
    for character in compatible:
        if character.isascii() and not (character.isalnum() or character in _ROOM_SIGNS):
            raise NameFault(
                "A room name is made of letters and digits of any script, “.”, “_” and “-”; "
                f"{_named(character)} is none of them."
            )
    _enforce("IdentifierClass", compatible, "A room name")
    _check_marks(compatible, "A room name")
    return name


def made_room_name(text: str) -> str:
    """The room name made of what somebody typed: spaces at the ends go, those within become '-'.

    Raises `NameFault`.
    """
    return room_name("-".join(text.split()))


def is_room_name(text: str) -> bool:
    """Whether `text` (of an address, say) can name a room."""
    try:
        room_name(text)
    except NameFault:
        return False
    return True


def room_key(name: str) -> str:
    """The form by which room names are compared (Unicode 15, section 3.13: compatibility caseless match)."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    return unicodedata.normalize("NFKC", folded)


@lru_cache(maxsize=1024)
def display_name(text: str) -> str:
    """The nickname (RFC 8266) that `text` is.

    It is in normal form KC, has no spaces at its ends and single ones within; its case is kept. Emoji that are
    sequences of characters pass unchanged. Raises `NameFault`.
    """
    if _PLAIN.fullmatch(text) and len(text) <= MAX_DISPLAY_NAME:
        return text
    emoji: list[str] = []
    if _SEQUENCE.search(text):
        text, emoji = _without_emoji(text)
    if not text.strip():
        raise NameFault("A name needs at least one visible character.")
    # One character may stand for eighteen: too many of them are not worth a look at each.
    if len(" ".join(unicodedata.normalize("NFKC", text).split())) > MAX_DISPLAY_NAME:
        raise NameFault(_TOO_LONG)
    name = _enforce("NicknameCasePreserved", text, "A name")
    for character in name:
        if character in _BLANK:
            raise NameFault(f"A name cannot contain {_named(character)}, which nobody can see.")
    _check_marks(name, "A name")
    if emoji:
        originals = iter(emoji)
        name = "".join(next(originals) if character == _STAND_IN else character for character in name)
    if len(name) > MAX_DISPLAY_NAME:
        raise NameFault(_TOO_LONG)
    return name


@lru_cache(maxsize=2048)
def skeleton(name: str) -> str:
    """Two names with the same skeleton look alike (UTS 39 section 4), be they equal or not; for comparison only.

    Beside what UTS 39 asks for, case does not count: "ADA" is "Ada" to somebody who looks for a person.
    """
    prototypes = _prototypes()
    name = name.translate(_IGNORABLE)
    for _ in range(2):
        # Once as it is written and once in lower case: confusable are “l” and “I”, but also “b” and “Ь”.
        name = unicodedata.normalize("NFD", name)
        name = "".join(prototypes.get(character, character) for character in name).casefold()
    return unicodedata.normalize("NFD", name)


def prepare() -> None:
    """Read the tables that names need, which takes some 0.2 s, before somebody must wait for them."""
    _prototypes()
    _without_emoji("")


def _enforce(profile: str, text: str, what: str) -> str:
    try:
        enforced: str = _profile(profile).enforce(text)
    except UnicodeEncodeError as error:
        if error.reason.startswith("DISALLOWED/empty"):
            raise NameFault(f"{what} needs at least one visible character.") from None
        raise NameFault(f"{what} cannot contain {_named(error.object[error.start])}.") from None
    return enforced


@cache
def _profile(name: str) -> Any:
    return get_profile(name)


def _check_marks(name: str, what: str) -> None:
    """Marks stand on something, few at a time and none twice (UTS 39 section 5.4). Raises `NameFault`."""
    stacked = ""
    before = " "
    for character in unicodedata.normalize("NFD", name):
        category = unicodedata.category(character)
        if category.startswith("M") and before == " ":
            raise NameFault(f"{what} cannot begin a word with {_named(character)}: it belongs onto a letter.")
        stacked = stacked + character if category in ("Mn", "Me") else ""
        if len(stacked) > MAX_NONSPACING or stacked[-2:] == character * 2:
            raise NameFault(f"{what} has at most {MAX_NONSPACING} accents on a letter, each of them once.")
        before = character


def _without_emoji(text: str) -> tuple[str, list[str]]:
    """The text with a stand-in for every emoji that has one, or several, characters; and these emoji in order."""
    # Imported when a name with such emoji comes: its tables are larger than all else that names need.
    import emoji

    found: list[str] = []
    kept: list[str] = []
    end = 0
    for match in emoji.emoji_list(text):
        sequence = str(match["emoji"])
        if len(sequence) > 1 or sequence == _STAND_IN:
            kept += (text[end : match["match_start"]], _STAND_IN)
            found.append(sequence)
            end = match["match_end"]
    kept.append(text[end:])
    return "".join(kept), found


def _named(character: str) -> str:
    """A character in words, readable where the character itself could not be seen."""
    name = unicodedata.name(character, "")
    code = f"U+{ord(character):04X}"
    shown = (
        f"“{character}” " if character.isprintable() and unicodedata.category(character)[0] not in "MZC" else ""
    )
    return f"{shown}({code}, {name.lower()})" if name else f"{shown}({code})"


@cache
def _prototypes() -> dict[str, str]:
    """The prototype of each character that has another one (UTS 39 section 4, `confusables.txt`).

    The library keeps that table as pairs in both directions, and its own module would keep 8 MB of it in memory
    with the characters' names; so its data file is read here. A prototype is where several characters meet, and
    only a prototype may have several characters.
    """
    file = resources.files("confusable_homoglyphs") / "confusables.json"
    # The file puts marks of direction around characters that are written from right to left.
    pairs = {
        _bare(one): [_bare(other["c"]) for other in others]
        for one, others in json.loads(file.read_text(encoding="utf-8")).items()
    }
    groups: dict[str, set[str]] = defaultdict(set)
    for one, others in pairs.items():
        prototype = max((one, *others), key=lambda text: (len(text), len(pairs.get(text, ())), text))
        groups[prototype].update((one, *others))
    return {one: prototype for prototype, group in groups.items() for one in group if len(one) == 1}


def _bare(text: str) -> str:
    return text.strip("\u200e") or text
