"""The gRPC face of Pub/Sub: one method of `google.pubsub.v1` after the other, translated to the broker's words."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from typing import Any

import grpc
import grpc.aio
from google.protobuf import empty_pb2
from google.pubsub_v1.types import pubsub as proto

from emulator.cloud.pubsub.broker import Broker, Leased
from emulator.cloud.pubsub.errors import FailedPrecondition, InvalidArgument, PubSubError
from emulator.cloud.pubsub.push import Pusher
from emulator.cloud.pubsub.resources import IMMUTABLE, MAX_PUBLISH_BYTES, check_project

MAX_PULL = 1000
PULL_WAIT_S = 20.0
PAGE_SIZE = 100

Handler = Callable[[Any, Any], Awaitable[Any]]


class Publisher:
    """google.pubsub.v1.Publisher"""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    async def create_topic(self, request: Any, _context: Any) -> Any:
        return self._broker.create_topic(request)

    async def get_topic(self, request: Any, _context: Any) -> Any:
        return self._broker.topic(request.topic)

    async def list_topics(self, request: Any, _context: Any) -> Any:
        topics, token = _page(self._broker.topics(), request)
        return proto.ListTopicsResponse(topics=topics, next_page_token=token)

    async def delete_topic(self, request: Any, _context: Any) -> Any:
        self._broker.delete_topic(request.topic)
        return empty_pb2.Empty()

    async def publish(self, request: Any, _context: Any) -> Any:
        return proto.PublishResponse(message_ids=self._broker.publish(request.topic, request.messages))


class Subscriber:
    """google.pubsub.v1.Subscriber"""

    def __init__(self, broker: Broker, pusher: Pusher) -> None:
        self._broker = broker
        self._pusher = pusher

    async def create_subscription(self, request: Any, _context: Any) -> Any:
        return self._pushed(self._broker.create_subscription(request))

    async def get_subscription(self, request: Any, _context: Any) -> Any:
        return self._broker.subscribed(request.subscription).resource

    async def list_subscriptions(self, request: Any, _context: Any) -> Any:
        subscriptions, token = _page(self._broker.subscriptions(), request)
        return proto.ListSubscriptionsResponse(subscriptions=subscriptions, next_page_token=token)

    async def update_subscription(self, request: Any, _context: Any) -> Any:
        wanted = request.subscription
        changed = proto.Subscription(self._broker.subscribed(wanted.name).resource)
        for path in request.update_mask.paths:
            if path in IMMUTABLE or path not in proto.Subscription.meta.fields:
                raise InvalidArgument(f"Invalid update_mask provided: {path[:100]!r} cannot be changed.")
            setattr(changed, path, getattr(wanted, path) if path in wanted else None)
        return self._pushed(self._broker.put_subscription(changed))

    async def delete_subscription(self, request: Any, _context: Any) -> Any:
        self._broker.delete_subscription(request.subscription)
        return empty_pb2.Empty()

    async def modify_push_config(self, request: Any, _context: Any) -> Any:
        changed = proto.Subscription(self._broker.subscribed(request.subscription).resource)
        changed.push_config = request.push_config
        self._pushed(self._broker.put_subscription(changed))
        return empty_pb2.Empty()

    async def pull(self, request: Any, context: Any) -> Any:
        """Answer as soon as there is a message, or with none when the client's patience nears its end."""
        if request.max_messages <= 0:
            raise InvalidArgument("max_messages is a positive number.")
        remaining_s = context.time_remaining()
        wait_s = 0.0 if request.return_immediately else min(PULL_WAIT_S, (remaining_s or PULL_WAIT_S) * 0.9)
        until = asyncio.get_running_loop().time() + wait_s
        while True:
            leased = self._pulled(request.subscription, request.max_messages)
            left_s = until - asyncio.get_running_loop().time()
            if leased or left_s <= 0:
                return proto.PullResponse(received_messages=_received(leased))
            await self._broker.wait(request.subscription, left_s)

    async def acknowledge(self, request: Any, _context: Any) -> Any:
        self._broker.acknowledge(request.subscription, request.ack_ids)
        return empty_pb2.Empty()

    async def modify_ack_deadline(self, request: Any, _context: Any) -> Any:
        self._broker.modify_deadline(request.subscription, request.ack_ids, request.ack_deadline_seconds)
        return empty_pb2.Empty()

    async def streaming_pull(self, requests: AsyncIterator[Any], _context: Any) -> AsyncIterator[Any]:
        """Hand messages out as they become due, as long as the client listens."""
        first = await anext(aiter(requests), None)
        if first is None:
            return
        name, deadline_s = first.subscription, first.stream_ack_deadline_seconds
        if not 10 <= deadline_s <= 600:
            raise InvalidArgument("stream_ack_deadline_seconds is between 10 and 600.")
        self._settle(name, first)
        settling = asyncio.create_task(self._settle_all(name, requests))
        settling.add_done_callback(lambda _task: self._broker.wake(name))
        try:
            while not settling.done():
                if leased := self._pulled(name, MAX_PULL, deadline_s=deadline_s):
                    yield proto.StreamingPullResponse(received_messages=_received(leased))
                await self._broker.wait(name)
            settling.result()
        finally:
            settling.cancel()

    async def _settle_all(self, name: str, requests: AsyncIterator[Any]) -> None:
        async for request in requests:
            self._settle(name, request)

    def _settle(self, name: str, request: Any) -> None:
        self._broker.acknowledge(name, request.ack_ids)
        for ack_id, seconds in zip(request.modify_deadline_ack_ids, request.modify_deadline_seconds, strict=False):
            self._broker.modify_deadline(name, [ack_id], seconds)

    def _pulled(self, name: str, limit: int, *, deadline_s: int | None = None) -> list[Leased]:
        if self._broker.subscribed(name).resource.push_config.push_endpoint:
            raise FailedPrecondition("This method is not supported for this subscription type.")
        return self._broker.lease(name, min(limit, MAX_PULL), deadline_s=deadline_s)

    def _pushed(self, subscription: Any) -> Any:
        self._pusher.watch(subscription.name)
        return subscription


def _received(leased: Iterable[Leased]) -> list[Any]:
    return [
        proto.ReceivedMessage(ack_id=each.ack_id, message=each.message, delivery_attempt=each.attempt or 0)
        for each in leased
    ]


def _page(resources: Iterable[Any], request: Any) -> tuple[list[Any], str]:
    """The resources of one project after the name in the page token, and the token of the next page."""
    check_project(request.project)
    size = min(request.page_size, 1000) if request.page_size > 0 else PAGE_SIZE
    prefix = f"{request.project}/"
    rest = [each for each in resources if each.name.startswith(prefix) and each.name > request.page_token]
    page = rest[:size]
    return page, page[-1].name if len(rest) > size else ""


def _handlers(publisher: Publisher, subscriber: Subscriber) -> dict[str, grpc.RpcMethodHandler]:
    unary: dict[str, tuple[Handler, Any]] = {
        "Publisher/CreateTopic": (publisher.create_topic, proto.Topic),
        "Publisher/GetTopic": (publisher.get_topic, proto.GetTopicRequest),
        "Publisher/ListTopics": (publisher.list_topics, proto.ListTopicsRequest),
        "Publisher/DeleteTopic": (publisher.delete_topic, proto.DeleteTopicRequest),
        "Publisher/Publish": (publisher.publish, proto.PublishRequest),
        "Subscriber/CreateSubscription": (subscriber.create_subscription, proto.Subscription),
        "Subscriber/GetSubscription": (subscriber.get_subscription, proto.GetSubscriptionRequest),
        "Subscriber/ListSubscriptions": (subscriber.list_subscriptions, proto.ListSubscriptionsRequest),
        "Subscriber/UpdateSubscription": (subscriber.update_subscription, proto.UpdateSubscriptionRequest),
        "Subscriber/DeleteSubscription": (subscriber.delete_subscription, proto.DeleteSubscriptionRequest),
        "Subscriber/ModifyPushConfig": (subscriber.modify_push_config, proto.ModifyPushConfigRequest),
        "Subscriber/Pull": (subscriber.pull, proto.PullRequest),
        "Subscriber/Acknowledge": (subscriber.acknowledge, proto.AcknowledgeRequest),
        "Subscriber/ModifyAckDeadline": (subscriber.modify_ack_deadline, proto.ModifyAckDeadlineRequest),
    }
    table = {
        f"/google.pubsub.v1.{method}": grpc.unary_unary_rpc_method_handler(
            _answering(handler), request_deserializer=request.deserialize, response_serializer=_serialized
        )
        for method, (handler, request) in unary.items()
    }
    table["/google.pubsub.v1.Subscriber/StreamingPull"] = grpc.stream_stream_rpc_method_handler(
        _streaming(subscriber),
        request_deserializer=proto.StreamingPullRequest.deserialize,
        response_serializer=_serialized,
    )
    return table


def _serialized(message: Any) -> bytes:
    return bytes(
        message.SerializeToString() if hasattr(message, "SerializeToString") else type(message).serialize(message)
    )


async def _refuse(context: Any, error: PubSubError) -> None:
    await context.abort(grpc.StatusCode[error.code], str(error))


def _answering(handler: Handler) -> Handler:
    async def answer(request: Any, context: Any) -> Any:
        try:
            return await handler(request, context)
        except PubSubError as error:
            await _refuse(context, error)

    return answer


def _streaming(subscriber: Subscriber) -> Callable[[Any, Any], AsyncIterator[Any]]:
    async def answer(requests: Any, context: Any) -> AsyncIterator[Any]:
        try:
            async for response in subscriber.streaming_pull(requests, context):
                yield response
        except PubSubError as error:
            await _refuse(context, error)

    return answer


class Guard(grpc.aio.ServerInterceptor):  # type: ignore[misc]
    """Lets only those in who send the token: whatever runs on this machine can reach the port."""

    def __init__(self, token: str) -> None:
        self._expected = f"Bearer {token}".encode()

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Any]], details: Any) -> Any:
        sent = dict(details.invocation_metadata).get("authorization", "")
        given = sent if isinstance(sent, bytes) else sent.encode()
        if hmac.compare_digest(given, self._expected):
            return await continuation(details)
        return grpc.unary_unary_rpc_method_handler(_unauthenticated)


async def _unauthenticated(_request: Any, context: Any) -> None:
    await context.abort(grpc.StatusCode.UNAUTHENTICATED, "Request had invalid authentication credentials.")


def make_server(broker: Broker, pusher: Pusher, guards: Sequence[Guard]) -> Any:
    """A gRPC server that is not listening yet; anonymous without *guards*."""
    server = grpc.aio.server(
        interceptors=list(guards),
        options=[
            ("grpc.max_receive_message_length", MAX_PUBLISH_BYTES + 1024 * 1024),
            # Two servers on one port would share its calls at random.
            ("grpc.so_reuseport", 0),
        ],
    )
    handlers = _handlers(Publisher(broker), Subscriber(broker, pusher))
    server.add_generic_rpc_handlers((_Table(handlers),))
    return server


class _Table(grpc.GenericRpcHandler):  # type: ignore[misc]
    def __init__(self, handlers: dict[str, grpc.RpcMethodHandler]) -> None:
        self._handlers = handlers

    def service(self, details: Any) -> Any:
        return self._handlers.get(details.method)
