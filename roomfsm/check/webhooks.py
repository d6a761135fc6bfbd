"""Checks each receiver of webhooks: whether it is found, answers, and would take a webhook.

It is asked by HEAD, which changes nothing there. A receiver that knows only POST answers 405, which is as good as
any other answer.
"""

from __future__ import annotations

from http import HTTPStatus
from urllib.parse import urlsplit

import trio

from roomfsm.check.findings import Finding, ok, warning
from roomfsm.http_client import Answer, HttpError, request
from roomfsm.interfaces import is_open_to_others
from roomfsm.settings import Settings
from roomfsm.webhooks.settings import shown

_PATIENCE = 5.0
"""Seconds for a receiver to answer."""
_REFUSED = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.PROXY_AUTHENTICATION_REQUIRED)


async def check_webhooks(settings: Settings) -> list[Finding]:
    """Ask each receiver for an answer."""
    found: dict[str, list[Finding]] = {}

    async def ask(url: str) -> None:
        found[url] = await _ask(url)

    async with trio.open_nursery() as nursery:
        for url in settings.webhooks.webhook:
            nursery.start_soon(ask, url)
    return [finding for url in settings.webhooks.webhook for finding in found[url]]


async def _ask(url: str) -> list[Finding]:
    parts, name = urlsplit(url), shown(url)
    findings: list[Finding] = []
    if parts.scheme == "http" and is_open_to_others((parts.hostname or "",)):
        mend = "use https://, unless nobody can listen on the way"
        findings.append(
            warning("webhooks", f"{name} is not encrypted: anybody on the way can read who meets whom", mend)
        )
    try:
        with trio.fail_after(_PATIENCE):
            answer = await request("HEAD", parts)
    except trio.TooSlowError:
        mend = "start the receiver, or open its port to this machine"
        return [*findings, warning("webhooks", f"{name}: no answer in {_PATIENCE:g} s", mend)]
    except HttpError as error:
        mend = "start the receiver, open its port to this machine, or correct --webhook"
        return [*findings, warning("webhooks", f"{name}: {error}", mend)]
    return [*findings, _judged(name, answer)]


def _judged(name: str, answer: Answer) -> Finding:
    status = answer.status
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        mend = "give --webhook the address to which it redirects"
        return warning("webhooks", f"{name} redirects (status {status}), which webhooks do not follow", mend)
    if status in _REFUSED:
        mend = "let requests without a password in there: the signature says that they are ours"
        return warning("webhooks", f"{name} refuses requests (status {status})", mend)
    if status == HTTPStatus.NOT_FOUND:
        mend = "correct the address, unless the receiver answers so to everything but POST"
        return warning("webhooks", f"{name} is not there (status 404)", mend)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return warning("webhooks", f"{name} has a fault (status {status})", "look at the receiver's log")
    return ok("webhooks", f"{name} answers (status {status} to HEAD)")
