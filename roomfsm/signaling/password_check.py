"""Checks the passwords of people who enter, without stopping the server and without being a help to guess.

Argon2 takes some 20 ms and 19 MiB, so it runs in threads, of which there are few. When five hundred people enter a
room at once, that would still take long. So after a password was right once, a digest of it is kept, by a key that
only this process has. From then on the room's password, right or wrong, is decided by the digest.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import secrets

import trio

from roomfsm.access.guesses import Guesses
from roomfsm.access.passwords import is_password
from roomfsm.protocol.errors import ErrorCode, Refusal

_DIGESTS = 10_000
"""The most hashes of which the right password is known."""


class PasswordCheck:
    """Checks passwords. `threads` is how many are checked at a time, and `deadline` how long one may take."""

    def __init__(self, guesses: Guesses, threads: int = 2, deadline: float = 10.0) -> None:
        self._guesses = guesses
        self.limiter = trio.CapacityLimiter(threads)
        self._deadline = deadline
        self._key = secrets.token_bytes(32)
        self._right: dict[str, bytes] = {}
        """The digest of the right password by the password's hash."""

    async def is_right(self, password: str, password_hash: str, address: str, room: str) -> bool:
        """Whether it is the password. Raises `Refusal` if this address has to wait before it may guess again."""
        known = self._right.get(password_hash)
        if known is not None:
            # The right password does not queue behind guesses that must be hashed. An address that has guessed
            # waits all the same.
            self._may_guess(address, room)
            return self._count(hmac.compare_digest(known, self._digest(password)), address, room)
        with trio.move_on_after(self._deadline):
            # Who guesses a lot at a time gets no more guesses by that: they are looked at one after the other.
            async with self.limiter:
                self._may_guess(address, room)
                return self._count(await self._decide(password, password_hash), address, room)
        raise Refusal(ErrorCode.RATE_LIMITED, "Too many people enter by a password: try again in a while.")

    def _may_guess(self, address: str, room: str) -> None:
        wait = self._guesses.wait(address, room, trio.current_time())
        if wait > 0:
            # It is rounded up, because whoever comes back too early is refused again.
            detail = f"There were too many wrong passwords: try again in {math.ceil(wait)} s."
            raise Refusal(ErrorCode.RATE_LIMITED, detail)

    def _count(self, right: bool, address: str, room: str) -> bool:
        if right:
            self._guesses.right(address, room)
        else:
            self._guesses.wrong(address, room, trio.current_time())
        return right

    def _digest(self, password: str) -> bytes:
        return hmac.digest(self._key, password.encode(), hashlib.sha256)

    async def _decide(self, password: str, password_hash: str) -> bool:
        known = self._right.get(password_hash)
        if known is not None:
            return hmac.compare_digest(known, self._digest(password))
        # Argon2 cannot be interrupted, but it ends soon, so the deadline may be over by a moment.
        right = await trio.to_thread.run_sync(is_password, password, password_hash)
        if right:
            self._right[password_hash] = self._digest(password)
            if len(self._right) > _DIGESTS:
                del self._right[next(iter(self._right))]
        return right
