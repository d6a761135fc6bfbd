"""The entrance: finds out what somebody who wants to enter a room brings. The room's table then decides."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import trio

from roomfsm.access.credentials import Credentials, credentials
from roomfsm.access.grant import Grant
from roomfsm.access.guesses import Guesses
from roomfsm.access.policy import Enter, Policy
from roomfsm.access.settings import AccessSettings
from roomfsm.protocol.client import Join, Switch
from roomfsm.protocol.errors import ErrorCode, Refusal
from roomfsm.signaling.password_check import PasswordCheck

if TYPE_CHECKING:
    from roomfsm.signaling.keyring import Keyring

_NO_KEYS = "This server has no keys of tokens, so no token is valid here."
_OTHER_ROOMS = "The token is for other rooms."


class Entrance:
    """Verifies tokens and passwords, by settings that may change while the server runs."""

    def __init__(
        self, nursery: trio.Nursery, settings: AccessSettings, policy_of: Callable[[str], Policy]
    ) -> None:
        """`policy_of` gives the policy of the room with a name, whether it is open or not."""
        self._nursery = nursery
        self._passwords = PasswordCheck(Guesses())
        self._fetching = trio.CancelScope()
        self._keyring: Keyring | None = None
        """None if the settings have no keys. Then the library for them is not even imported."""
        self._policy_of = policy_of
        self.apply(settings)

    def apply(self, settings: AccessSettings) -> None:
        """Use these settings for everybody who enters from now on."""
        self.settings = settings
        self._fetching.cancel()
        self._fetching = trio.CancelScope()
        self._keyring = None
        if settings.token_key:
            from roomfsm.signaling.keyring import open_keyring

            self._keyring = open_keyring(settings)
            self._nursery.start_soon(self._keep_fresh, self._keyring, self._fetching)

    async def grant(self, message: Join | Switch, held: Grant | None) -> Grant | None:
        """The grant that holds in the room of the message: by its token, or else the one from an earlier token.

        Raises `Refusal`.
        """
        if message.token is None:
            if (
                held is None
                or not held.is_for(message.room)
                or time.time() >= held.expires + self.settings.token_leeway
            ):
                return None
            return held
        if self._keyring is None:
            raise Refusal(ErrorCode.TOKEN_INVALID, _NO_KEYS)
        grant = await self._keyring.verify(message.token)
        if not grant.is_for(message.room):
            raise Refusal(ErrorCode.TOKEN_INVALID, _OTHER_ROOMS)
        return grant

    async def credentials(self, message: Join | Switch, grant: Grant | None, address: str) -> Credentials:
        """What the sender of the message has and knows. Raises `Refusal` if that takes too many guesses."""
        policy = self._policy_of(message.room)
        knows = False
        if policy.enter is Enter.PASSWORD and grant is None and message.password is not None:
            assert policy.password_hash is not None
            knows = await self._passwords.is_right(
                message.password, policy.password_hash, address, policy.password_hash
            )
        return credentials(policy, grant, knows_password=knows)

    async def _keep_fresh(self, keyring: Keyring, scope: trio.CancelScope) -> None:
        with scope:
            await keyring.keep_fresh()


@asynccontextmanager
async def open_entrance(settings: AccessSettings, policy_of: Callable[[str], Policy]) -> AsyncIterator[Entrance]:
    """An entrance, whose key sets are kept fresh until this scope ends."""
    async with trio.open_nursery() as nursery:
        yield Entrance(nursery, settings, policy_of)
        nursery.cancel_scope.cancel()
