"""Push delivery: due messages become HTTP requests, answers become acknowledgements.

https://cloud.google.com/pubsub/docs/push
"""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import Callable
from typing import Any

import aiohttp

from emulator.cloud.pubsub.broker import Broker, Leased, rfc3339
from emulator.cloud.pubsub.errors import NotFound

log = logging.getLogger(__name__)

# 102 acknowledges as well, in the real service; HTTP clients do not show an interim answer, the final one decides.
ACKNOWLEDGED = frozenset({200, 201, 202, 204})
MAX_IN_FLIGHT = 100

SignToken = Callable[[str, str], str]


class Pusher:
    """One task for each push subscription, and one for each message in flight."""

    def __init__(self, broker: Broker, sign: SignToken, http: aiohttp.ClientSession) -> None:
        self._broker = broker
        self._sign = sign
        self._http = http
        self._pumps: dict[str, asyncio.Task[None]] = {}
        self._in_flight: dict[str, set[asyncio.Task[None]]] = {}

    def watch(self, name: str) -> None:
        """Push what the subscription *name* gets, as long as it exists and has an endpoint; call after each change."""
        running = self._pumps.get(name)
        if self._endpoint(name) and (running is None or running.done()):
            self._pumps[name] = asyncio.create_task(self._pump(name))
            self._pumps[name].add_done_callback(_report)

    async def close(self) -> None:
        """Drop what is in flight: unacknowledged, it is delivered again after the next start."""
        tasks = [*self._pumps.values(), *(task for flight in self._in_flight.values() for task in flight)]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _endpoint(self, name: str) -> str:
        try:
            return str(self._broker.subscribed(name).resource.push_config.push_endpoint)
        except NotFound:
            return ""

    async def _pump(self, name: str) -> None:
        flight = self._in_flight.setdefault(name, set())
        while self._endpoint(name):
            leased = self._broker.lease(name, MAX_IN_FLIGHT - len(flight))
            for each in leased:
                task = asyncio.create_task(self._deliver(name, each))
                flight.add(task)
                task.add_done_callback(flight.discard)
            if len(flight) >= MAX_IN_FLIGHT:
                await asyncio.wait(flight, return_when=asyncio.FIRST_COMPLETED)
            elif not leased:
                await self._broker.wait(name)

    async def _deliver(self, name: str, leased: Leased) -> None:
        """Send one message once; settle it by the answer."""
        outcome = await self._send(name, leased)
        log.info("push %s to %s: %s", leased.message.message_id, name, outcome)
        try:
            if outcome in ACKNOWLEDGED:
                self._broker.acknowledge(name, [leased.ack_id])
            else:
                self._broker.modify_deadline(name, [leased.ack_id], 0)
        except NotFound:
            # Deleted while the message was on its way.
            return

    async def _send(self, name: str, leased: Leased) -> int | str:
        try:
            subscribed = self._broker.subscribed(name)
        except NotFound:
            return "deleted"
        config = subscribed.resource.push_config
        try:
            async with self._http.post(
                config.push_endpoint,
                json=wrapped(name, leased),
                headers=self._headers(config),
                timeout=aiohttp.ClientTimeout(total=subscribed.policy.ack_deadline_s),
                allow_redirects=False,
            ) as response:
                return response.status
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            return type(error).__name__

    def _headers(self, config: Any) -> dict[str, str]:
        headers = {"User-Agent": "CloudPubSub-Google", "From": "noreply@google.com"}
        if config.oidc_token.service_account_email:
            audience = config.oidc_token.audience or config.push_endpoint
            token = self._sign(config.oidc_token.service_account_email, audience)
            headers["Authorization"] = f"Bearer {token}"
        return headers


def _report(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()):
        log.error("a push subscription stopped", exc_info=error)


def wrapped(name: str, leased: Leased) -> dict[str, Any]:
    """The JSON that a push endpoint gets; both spellings of the two fields are the real service's."""
    message = leased.message
    published = rfc3339(message.publish_time)
    body: dict[str, Any] = {
        "attributes": dict(message.attributes),
        "data": base64.b64encode(message.data).decode(),
        "messageId": message.message_id,
        "message_id": message.message_id,
        "publishTime": published,
        "publish_time": published,
        "orderingKey": message.ordering_key,
    }
    attempt = {} if leased.attempt is None else {"deliveryAttempt": leased.attempt}
    return {"message": {key: value for key, value in body.items() if value}, "subscription": name} | attempt
