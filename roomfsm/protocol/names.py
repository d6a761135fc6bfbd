"""Decides which names rooms and people may have, which names are the same, and which look alike.

There are three questions about a name, and a standard for each:

- *May it be a name?* PRECIS (RFC 8264) says which characters of which scripts may be in identifiers and in free
  text, and in which context. For example, a zero-width non-joiner is right between two Persian letters, but
  invisible when it is alone. Room names belong to PRECIS's IdentifierClass, and display names are nicknames (RFC
  8266). PRECIS allows any number of accents on one letter, and does not know emoji that are sequences of
  characters. UTS 39 section 5.4 limits the accents. The emoji are those of Unicode's list of emoji for general
  interchange.
- *Is it the same name?* Room names are compared by `room_key`, a compatibility caseless match. The server sends
  the key to clients, so that they can compare names without these rules.
- *Does it look like another?* Two names look alike if their skeletons (UTS 39 section 4) are equal.

Only `join`, `switch` and `rename` have names. Checking one name takes up to half a millisecond, so it is done only
after the other checks of such a message have passed.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections import defaultdict
from functools import cache, lru_cache
from importlib import resources
from typing import Any, Literal

from precis_i18n import get_profile

from roomfsm.protocol.fields import MAX_DISPLAY_NAME, MAX_ROOM_NAME

MAX_NONSPACING = 4
"""The most nonspacing marks in a row (UTS 39 section 5.4)."""

_PLAIN = re.compile(r"[A-Za-z0-9_\-][A-Za-z0-9._\-]*")
"""Names that are right without asking a library. Most names are like that."""
_ROOM_SIGNS = frozenset("._-")
BLANK = frozenset("\u2800\U0001d159\U00013441\U00013442\U00016fe4")
"""Characters that look blank, although Unicode counts them neither as spaces nor as ignorable, so that PRECIS
allows them."""
_SEQUENCE = re.compile("[\u200d\ufe0f\U000e0020-\U000e007f\u20e3\U0001f3fb-\U0001f3ff]")
"""The characters that join a sequence of characters to one emoji."""
_IGNORABLE = dict.fromkeys((0x200C, 0x200D, 0xFE0F, *range(0xE0020, 0xE0080)))
"""The Default_Ignorable code points that an allowed name can contain."""
_TOO_LONG = f"A name has at most {MAX_DISPLAY_NAME} characters."
_STAND_IN = "\u2603"
"""An emoji of one character, which PRECIS allows and does not change."""


type NameFaultCode = Literal[
    "empty", "too_long", "spaces", "dots", "not_allowed", "invisible", "mark_alone", "marks_stacked"
]


class NameFault(ValueError):
    """The text cannot be a name of that kind. The message is an English sentence for people that says why.

    `code` says the same to programs that have sentences of their own, such as the page in another language.
    `values` are what the sentence names: `most` characters, or the `character` in words.
    """

    def __init__(self, code: NameFaultCode, message: str, **values: int | str) -> None:
        super().__init__(message)
        self.code: NameFaultCode = code
        self.values: dict[str, int | str] = values


def room_name(text: str) -> str:
    """Check a room name, and return it in Unicode's normal form C. Its case and width stay as they are.

    Besides letters, digits and marks (the IdentifierClass of RFC 8264 section 4.2) it may have '.', '_' and '-'.
    The rule of RFC 5893 about directions is left out, because people do mix Hebrew or Arabic with Latin letters.
    Raises `NameFault`.
    """
    if _PLAIN.fullmatch(text) and len(text) <= MAX_ROOM_NAME:
        return text
    name = unicodedata.normalize("NFC", text)
    if not name:
        raise NameFault("empty", "A room name has at least one character.")
    if len(name) > MAX_ROOM_NAME:
        raise NameFault("too_long", f"A room name has at most {MAX_ROOM_NAME} characters.", most=MAX_ROOM_NAME)
    if any(character.isspace() for character in name):
        raise NameFault("spaces", "A room name has no spaces; use “-” or “_” instead.")
    if name in (".", ".."):
        raise NameFault(
            "dots", "A room name cannot be “.” or “..”, because these have another meaning in addresses."
        )
    compatible = unicodedata.normalize("NFKC", name)
    for character in compatible:
        if character.isascii() and not (character.isalnum() or character in _ROOM_SIGNS):
            raise NameFault(
                "not_allowed",
                "A room name consists of letters and digits of any script, “.”, “_” and “-”. It cannot contain "
                f"{_named(character)}.",
                character=_named(character),
            )
    _enforce("IdentifierClass", compatible, "A room name")
    _check_marks(compatible, "A room name")
    return name


def made_room_name(text: str) -> str:
    """Make a room name from what somebody typed. Spaces at the ends are removed, and those within become '-'.

    Raises `NameFault`.
    """
    return room_name("-".join(text.split()))


def is_room_name(text: str) -> bool:
    """Whether `text`, for example from an address, can be the name of a room."""
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
    """Check a display name, and return it as a nickname (RFC 8266).

    The result is in normal form KC. Spaces at its ends are removed, several spaces in a row become one, and its
    case is kept. Emoji that are sequences of characters are not changed. Raises `NameFault`.
    """
    if _PLAIN.fullmatch(text) and len(text) <= MAX_DISPLAY_NAME:
        return text
    emoji: list[str] = []
    if _SEQUENCE.search(text):
        text, emoji = _without_emoji(text)
    if not text.strip():
        raise NameFault("empty", "A name needs at least one visible character.")
    # One character may become eighteen. If the text gets too long by that, the expensive checks are not made.
    if len(" ".join(unicodedata.normalize("NFKC", text).split())) > MAX_DISPLAY_NAME:
        raise NameFault("too_long", _TOO_LONG, most=MAX_DISPLAY_NAME)
    name = _enforce("NicknameCasePreserved", text, "A name")
    for character in name:
        if character in BLANK:
            shown = _named(character)
            raise NameFault("invisible", f"A name cannot contain {shown}, which nobody can see.", character=shown)
    _check_marks(name, "A name")
    if emoji:
        originals = iter(emoji)
        name = "".join(next(originals) if character == _STAND_IN else character for character in name)
    if len(name) > MAX_DISPLAY_NAME:
        raise NameFault("too_long", _TOO_LONG, most=MAX_DISPLAY_NAME)
    return name


@lru_cache(maxsize=2048)
def skeleton(name: str) -> str:
    """The skeleton of a name (UTS 39 section 4).

    Two names with the same skeleton look alike. It is only for comparisons. Case does not count, which UTS 39 does
    not require: to somebody who looks for a person, "ADA" is "Ada".
    """
    prototypes = _prototypes()
    name = name.translate(_IGNORABLE)
    for _ in range(2):
        # This is done for the name as it is written and in lower case, because “l” and “I” look alike, but also
        # “b” and “Ь”.
        name = unicodedata.normalize("NFD", name)
        name = "".join(prototypes.get(character, character) for character in name).casefold()
    return unicodedata.normalize("NFD", name)


def prepare() -> None:
    """Read the tables that names need in advance, so that nobody has to wait for them. It takes about 0.2 s."""
    _prototypes()
    _without_emoji("")


def _enforce(profile: str, text: str, what: str) -> str:
    try:
        enforced: str = _profile(profile).enforce(text)
    except UnicodeEncodeError as error:
        shown = _named(error.object[error.start])
        raise NameFault("not_allowed", f"{what} cannot contain {shown}.", character=shown) from None
    return enforced


@cache
def _profile(name: str) -> Any:
    return get_profile(name)


def _check_marks(name: str, what: str) -> None:
    """Check that marks follow a letter, that they are few, and that none comes twice in a row (UTS 39 section
    5.4). Raises `NameFault`.
    """
    stacked = ""
    before = " "
    for character in unicodedata.normalize("NFD", name):
        category = unicodedata.category(character)
        if category.startswith("M") and before == " ":
            shown = _named(character)
            fault = f"{what} cannot begin a word with {shown}, which belongs on a letter."
            raise NameFault("mark_alone", fault, character=shown)
        stacked = stacked + character if category in ("Mn", "Me") else ""
        if len(stacked) > MAX_NONSPACING or stacked[-2:] == character * 2:
            raise NameFault(
                "marks_stacked",
                f"{what} has at most {MAX_NONSPACING} accents on a letter, and the same accent only once.",
                most=MAX_NONSPACING,
            )
        before = character


def _without_emoji(text: str) -> tuple[str, list[str]]:
    """Replace every emoji of several characters by a stand-in.

    Returns the new text, and the replaced emoji in order.
    """
    # This is imported only when a name has such emoji, because its tables are larger than everything else that
    # names need.
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
    """Describe a character in words, so that it can be recognised even if it is invisible."""
    name = unicodedata.name(character, "")
    code = f"U+{ord(character):04X}"
    shown = (
        f"“{character}” " if character.isprintable() and unicodedata.category(character)[0] not in "MZC" else ""
    )
    return f"{shown}({code}, {name.lower()})" if name else f"{shown}({code})"


@cache
def _prototypes() -> dict[str, str]:
    """The prototype of each character that is not its own prototype (UTS 39 section 4, `confusables.txt`).

    The library has that table as pairs in both directions. Its own module would keep 8 MB of it in memory with the
    characters' names, so this function reads the data file. The prototype of a group of characters is the one to
    which the most others belong, and only a prototype may be longer than one character.
    """
    file = resources.files("confusable_homoglyphs") / "confusables.json"
    # The file has direction marks around characters that are written from right to left.
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
