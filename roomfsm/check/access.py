"""Checks the policies of rooms and the keys of tokens: can each policy apply, and can anybody pass it.

What is found here is a warning and no fault: the server starts with it, and other rooms are used as ever.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

import trio

from roomfsm.access.keys import KeyFault, read_public_key_set
from roomfsm.access.patterns import matches
from roomfsm.access.policy import Enter, Policy
from roomfsm.check.findings import Finding, ok, warning
from roomfsm.protocol.roles import Role
from roomfsm.settings import Settings
from roomfsm.signaling.key_set_url import FetchError, Fetching, KeySetUrl

_PATIENCE = 5.0
"""Seconds for the answer of an address of keys."""
_NO_KEY = "set token_key (docs/access.md says how to make one)"
_ANY = "\ue000" * 65
"""What stands for `*` in a name that tries a pattern: longer than a room's name, of a letter that no name has."""


async def check_policies(settings: Settings) -> list[Finding]:
    """Whether each policy of the settings file can apply, and lets somebody in."""
    if not settings.policies:
        whoever = "has a token for a room" if settings.access.require_token else "knows a room's name"
        return [ok("policies", f"none: everybody who {whoever} may enter it")]
    findings = [*_shadowed(settings.policies)]
    for pattern, policy in settings.policies:
        findings += (
            warning("policies", f'[room."{pattern}"] {what}', mend) for what, mend in _wrong(policy, settings)
        )
    count = len(settings.policies)
    return findings or [
        ok("policies", "the one policy can apply" if count == 1 else f"each of the {count} can apply")
    ]


def _shadowed(policies: tuple[tuple[str, Policy], ...]) -> Iterator[Finding]:
    for place, (pattern, _) in enumerate(policies):
        for before, _ in policies[:place]:
            if covers(before, pattern):
                yield warning(
                    "policies",
                    f'[room."{pattern}"] never applies: [room."{before}"] stands before it and fits all its rooms',
                    f'move [room."{pattern}"] before [room."{before}"], or remove it',
                )
                break


def covers(general: str, special: str) -> bool:
    """Whether every room that fits the pattern `special` fits `general`, too.

    The names that are hardest to fit have for each `*` nothing at all, or more letters of a kind that stands in no
    pattern than the `?` of a pattern can take. A `?` stands for such a letter, too.
    """
    one = special.replace("?", _ANY[0])
    names = (unicodedata.normalize("NFC", one.replace("*", filling)) for filling in ("", _ANY))
    return all(matches(general, name) for name in names)


def _wrong(policy: Policy, settings: Settings) -> Iterator[tuple[str, str]]:
    """What is wrong with a policy, and how to mend it."""
    rooms, access = settings.rooms, settings.access
    if policy.enter in (Enter.TOKEN, Enter.INVITED) and not access.token_key:
        yield "lets nobody in: people need a token, and without a token_key no token is valid", _NO_KEY
    elif not access.token_key and not policy.role.includes(Role.MODERATOR):
        # Without tokens, moderators are only those whom the policy makes moderators.
        if policy.locked:
            yield "lets nobody in: it is locked, and without a token_key nobody enters as a moderator", _NO_KEY
        elif policy.lobby and not policy.first_moderates:
            yield (
                "lets nobody in: people wait in the lobby for a moderator, and without a token_key none can come",
                f"{_NO_KEY}, or first_moderates = true",
            )
    if access.require_token and policy.enter is Enter.PASSWORD:
        yield (
            "has a password that is not used, because of require_token",
            'remove the password, and set enter = "token"',
        )
    people = rooms.max_people if policy.max_people is None else policy.max_people
    if policy.max_presenters is not None and policy.max_presenters > people:
        yield (
            f"lets {policy.max_presenters} people present, but only {people} people enter (max_people)",
            f"max_presenters = {people} or less, or a larger max_people",
        )


async def check_keys(settings: Settings) -> list[Finding]:
    """Whether each address of a key set gives keys that can be used."""
    urls = settings.access.key_addresses
    findings: dict[str, Finding] = {}

    async def look(url: str) -> None:
        try:
            keys = read_public_key_set(await KeySetUrl(url, Fetching(deadline=_PATIENCE)).fetch())
        except (FetchError, KeyFault) as error:
            mend = "correct --token-key, or let this machine reach it; until then tokens by its keys are refused"
            findings[url] = warning("keys", f"{url}: {error}", mend)
        else:
            findings[url] = ok("keys", f"{url} has {len(keys)} {'key' if len(keys) == 1 else 'keys'}")

    async with trio.open_nursery() as nursery:
        for url in urls:
            nursery.start_soon(look, url)
    return [findings[url] for url in urls]
