"""When a message is delivered again, and when it is given up: what a subscription's settings mean. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

DEFAULT_ACK_DEADLINE_S = 10
DEFAULT_MAX_ATTEMPTS = 5
DEFAULT_RETENTION_S = 7 * 86400.0


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential from *minimum_s*, doubling with each attempt, never above *maximum_s*."""

    minimum_s: float
    maximum_s: float

    def after(self, attempts: int) -> float:
        """Seconds to wait after *attempts* deliveries that came to nothing."""
        return float(min(self.maximum_s, self.minimum_s * 2 ** min(attempts - 1, 30)))


# "Pub/Sub might deliver messages using a push backoff", https://cloud.google.com/pubsub/docs/push#push_backoff
PUSH_BACKOFF = Backoff(0.1, 60)
PULL_BACKOFF = Backoff(0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryPolicy:
    """How one subscription delivers. `dead_letter_topic` is empty when messages are never given up."""

    ack_deadline_s: int
    backoff: Backoff
    retention_s: float
    dead_letter_topic: str
    max_attempts: int

    def exhausted(self, attempts: int) -> bool:
        """Whether a message delivered *attempts* times in vain goes to the dead letters."""
        return bool(self.dead_letter_topic) and attempts >= self.max_attempts


def policy_of(subscription: Any) -> DeliveryPolicy:
    """Read the policy of a `google.pubsub.v1.Subscription`, with the service's own defaults."""
    return DeliveryPolicy(
        ack_deadline_s=subscription.ack_deadline_seconds or DEFAULT_ACK_DEADLINE_S,
        backoff=_backoff_of(subscription),
        retention_s=_seconds(subscription, "message_retention_duration", DEFAULT_RETENTION_S),
        dead_letter_topic=subscription.dead_letter_policy.dead_letter_topic,
        max_attempts=subscription.dead_letter_policy.max_delivery_attempts or DEFAULT_MAX_ATTEMPTS,
    )


def _backoff_of(subscription: Any) -> Backoff:
    if "retry_policy" in subscription:
        policy = subscription.retry_policy
        return Backoff(_seconds(policy, "minimum_backoff", 10), _seconds(policy, "maximum_backoff", 600))
    return PUSH_BACKOFF if subscription.push_config.push_endpoint else PULL_BACKOFF


def _seconds(message: Any, field: str, default: float) -> float:
    value: timedelta | None = getattr(message, field) if field in message else None
    return default if value is None else value.total_seconds()
