"""Which topics, subscriptions and messages are acceptable: the rules of google/pubsub/v1/pubsub.proto. Pure."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from emulator.cloud.pubsub import filters
from emulator.cloud.pubsub.errors import InvalidArgument, Unimplemented

DELETED_TOPIC = "_deleted-topic_"

_ID = r"(?!goog)[A-Za-z][A-Za-z0-9._~+%-]{2,254}"
_PROJECT = r"projects/[a-z0-9][a-z0-9.:-]{0,62}"
_NAME = {kind: re.compile(rf"{_PROJECT}/{kind}/{_ID}") for kind in ("topics", "subscriptions")}

# Settings that would change deliveries and are not emulated.
_UNSUPPORTED_OF_TOPIC = ("ingestion_data_source_settings", "schema_settings", "message_transforms")
_UNSUPPORTED_OF_SUBSCRIPTION = (
    "bigquery_config",
    "bigtable_config",
    "cloud_storage_config",
    "enable_exactly_once_delivery",
    "enable_message_ordering",
    "message_transforms",
    "retain_acked_messages",
)
IMMUTABLE = ("name", "topic", "filter")

MAX_MESSAGES = 1000
MAX_PUBLISH_BYTES = 10 * 1024 * 1024


def check_project(name: str) -> None:
    if not re.fullmatch(_PROJECT, name):
        raise InvalidArgument(f"Invalid project name given: {name[:100]!r}.")


def check_topic(topic: Any) -> None:
    """Raise unless *topic* may be created."""
    _check_name("topics", topic.name)
    _check_supported(topic, _UNSUPPORTED_OF_TOPIC)


def check_subscription(subscription: Any) -> None:
    """Raise unless *subscription* may exist."""
    _check_name("subscriptions", subscription.name)
    _check_supported(subscription, _UNSUPPORTED_OF_SUBSCRIPTION)
    _check_push(subscription.push_config)
    _check_retries(subscription)
    try:
        filters.parse(subscription.filter)
    except filters.InvalidFilter as error:
        raise InvalidArgument(f"Invalid filter: {error}.") from error


def check_messages(messages: Any) -> None:
    """Raise unless all *messages* may be published in one request."""
    if not 0 < len(messages) <= MAX_MESSAGES:
        raise InvalidArgument(f"A publish request has 1 to {MAX_MESSAGES} messages.")
    for message in messages:
        if not (message.data or message.attributes):
            raise InvalidArgument("Some messages in the publish request are empty.")
        for key, value in message.attributes.items():
            _check_attribute(key, value)


def _check_attribute(key: str, value: str) -> None:
    if not key or len(key.encode()) > 256 or key.startswith("goog") or len(value.encode()) > 1024:
        raise InvalidArgument("Attribute keys have 1 to 256 bytes and no prefix goog, values up to 1024 bytes.")


def _check_name(kind: str, name: str) -> None:
    if not _NAME[kind].fullmatch(name):
        raise InvalidArgument(f"Invalid resource name given: {name[:300]!r}, expected projects/PROJECT/{kind}/ID.")


def _check_supported(resource: Any, unsupported: tuple[str, ...]) -> None:
    for field in unsupported:
        if getattr(resource, field):
            raise Unimplemented(f"{field} is not emulated.")


def _check_push(config: Any) -> None:
    if not config.push_endpoint:
        return
    if "no_wrapper" in config:
        raise Unimplemented("no_wrapper is not emulated.")
    # The real service takes https only; on one machine there is no TLS.
    if not _is_url(config.push_endpoint):
        raise InvalidArgument(f"Invalid push endpoint given: {config.push_endpoint[:300]!r}.")


def _is_url(text: str) -> bool:
    try:
        url = urlsplit(text)
        return url.scheme in ("http", "https") and bool(url.hostname) and not url.username and url.port != 0
    except ValueError:
        # A port out of range, a broken IPv6 address.
        return False


def _check_retries(subscription: Any) -> None:
    if subscription.ack_deadline_seconds and not 10 <= subscription.ack_deadline_seconds <= 600:
        raise InvalidArgument("ack_deadline_seconds is between 10 and 600.")
    attempts = subscription.dead_letter_policy.max_delivery_attempts
    if attempts and not 5 <= attempts <= 100:
        raise InvalidArgument("max_delivery_attempts is between 5 and 100.")
    for field in ("minimum_backoff", "maximum_backoff"):
        backoff = getattr(subscription.retry_policy, field)
        if backoff is not None and not 0 <= backoff.total_seconds() <= 600:
            raise InvalidArgument(f"{field} is between 0 and 600 seconds.")
