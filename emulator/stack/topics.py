"""Makes the topic of finished builds and its push subscription: `python -m emulator.stack.topics`.

The address and token of Pub/Sub come from PUBSUB_ENDPOINT and PUBSUB_TOKEN, where to push from PUSH_ENDPOINT, for whom
from PUSH_AUDIENCE. It is a process of its own because the official client stays in memory, and is needed only once.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any

from emulator.stack.documents import DEAD_LETTER_TOPIC, EVENTS_ACCOUNT, PROJECT, SUBSCRIPTION, TOPIC

# Cloud Build's words for a build that has ended; everything else would wake the function for nothing.
TERMINAL = ("SUCCESS", "FAILURE", "INTERNAL_ERROR", "TIMEOUT", "CANCELLED", "EXPIRED")
TIMEOUT_S = 10


def subscription(push_endpoint: str, audience: str) -> dict[str, Any]:
    """The subscription as Terraform makes it in the cloud, with shorter pauses."""
    return {
        "name": f"projects/{PROJECT}/subscriptions/{SUBSCRIPTION}",
        "topic": f"projects/{PROJECT}/topics/{TOPIC}",
        "push_config": {
            "push_endpoint": push_endpoint,
            "oidc_token": {"service_account_email": EVENTS_ACCOUNT, "audience": audience},
        },
        "filter": " OR ".join(f'attributes.status = "{status}"' for status in TERMINAL),
        "ack_deadline_seconds": 120,
        "retry_policy": {"minimum_backoff": {"seconds": 1}, "maximum_backoff": {"seconds": 10}},
        "dead_letter_policy": {
            "dead_letter_topic": f"projects/{PROJECT}/topics/{DEAD_LETTER_TOPIC}",
            "max_delivery_attempts": 100,
        },
    }


def make_all(environ: Mapping[str, str]) -> None:
    """Make what is missing; a subscription that pushes elsewhere than it should is made anew."""
    import grpc
    from google.api_core.exceptions import AlreadyExists
    from google.pubsub_v1 import PublisherClient, SubscriberClient
    from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport
    from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport

    options: dict[str, Any] = {
        "metadata": [("authorization", f"Bearer {environ['PUBSUB_TOKEN']}")],
        "timeout": TIMEOUT_S,
    }
    with grpc.insecure_channel(environ["PUBSUB_ENDPOINT"]) as channel:
        publisher = PublisherClient(transport=PublisherGrpcTransport(channel=channel))
        subscriber = SubscriberClient(transport=SubscriberGrpcTransport(channel=channel))
        for topic in (TOPIC, DEAD_LETTER_TOPIC):
            try:
                publisher.create_topic(name=f"projects/{PROJECT}/topics/{topic}", **options)
            except AlreadyExists:
                continue
        wanted = subscription(environ["PUSH_ENDPOINT"], environ["PUSH_AUDIENCE"])
        try:
            subscriber.create_subscription(request=wanted, **options)
        except AlreadyExists:
            there = subscriber.get_subscription(subscription=wanted["name"], **options)
            if there.push_config.push_endpoint != environ["PUSH_ENDPOINT"]:
                subscriber.modify_push_config(subscription=wanted["name"], push_config=wanted["push_config"], **options)


if __name__ == "__main__":
    make_all(os.environ)
    sys.exit(0)
