"""The keyring: verifies the tokens of people who enter, by the keys of the settings and those at addresses."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

import trio

from roomfsm.access.grant import Grant
from roomfsm.access.keys import TokenKey, read_keys
from roomfsm.access.settings import AccessSettings
from roomfsm.access.tokens import TokenExpired, TokenInvalid, TokenRules, UnknownKey, verify
from roomfsm.protocol.errors import ErrorCode, Refusal
from roomfsm.signaling.key_set_url import KeySetUrl


class Keyring:
    """All keys of tokens."""

    def __init__(self, keys: Sequence[TokenKey], urls: Iterable[KeySetUrl], rules: TokenRules) -> None:
        self._keys = tuple(keys)
        self._urls = tuple(urls)
        self._rules = rules

    async def keep_fresh(self) -> None:
        """Fetch the key sets now and then, until cancelled."""
        async with trio.open_nursery() as nursery:
            for url in self._urls:
                nursery.start_soon(url.keep_fresh)

    async def verify(self, token: str) -> Grant:
        """What the token grants. Raises `Refusal` with `TOKEN_INVALID` or `TOKEN_EXPIRED`.

        If the token names a key that is not known, the key sets are fetched again first.
        """
        try:
            try:
                return self._verify(token)
            except UnknownKey:
                async with trio.open_nursery() as nursery:
                    for url in self._urls:
                        nursery.start_soon(url.renew)
                return self._verify(token)
        except TokenExpired as fault:
            raise Refusal(ErrorCode.TOKEN_EXPIRED, str(fault)) from fault
        except TokenInvalid as fault:
            raise Refusal(ErrorCode.TOKEN_INVALID, str(fault)) from fault

    def _verify(self, token: str) -> Grant:
        keys = [*self._keys, *(key for url in self._urls for key in url.keys)]
        return verify(token, keys, self._rules, time.time())


def open_keyring(settings: AccessSettings) -> Keyring:
    """The keyring of these settings."""
    rules = TokenRules(settings.token_audience, settings.token_leeway, settings.max_token_length)
    keys = [key for text in settings.key_texts for key in read_keys(text)]
    return Keyring(keys, map(KeySetUrl, settings.key_addresses), rules)
