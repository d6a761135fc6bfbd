"""The keyring: verifies the tokens of people who enter, by the keys of the settings and those at addresses."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from roomfsm.access.grant import Grant
from roomfsm.access.keys import TokenKey
from roomfsm.access.tokens import TokenRules, UnknownKey, verify
from roomfsm.signaling.key_set_url import KeySetUrl


class Keyring:
    """All keys of tokens."""

    def __init__(self, keys: Sequence[TokenKey], urls: Iterable[KeySetUrl], rules: TokenRules) -> None:
        self._keys = tuple(keys)
        self._urls = tuple(urls)
        self._rules = rules

    async def verify(self, token: str) -> Grant:
        """What the token grants. Raises `TokenInvalid` or one of its kinds.

        If the token names a key that is not known, the key sets are fetched again first.
        """
        try:
            return self._verify(token)
        except UnknownKey:
            for url in self._urls:
                await url.renew()
        return self._verify(token)

    def _verify(self, token: str) -> Grant:
        keys = [*self._keys, *(key for url in self._urls for key in url.keys)]
        return verify(token, keys, self._rules, time.time())
