"""Messages to a Pub/Sub topic."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from functions.core.errors import UpstreamError, UpstreamTimeout

SERVICE = "Pub/Sub"


class PubSubPublisher:
    """Publishes to *topic* of *project*, at Google, or at *endpoint* (`host:port`) without TLS.

    *token* is a bearer token for such an endpoint; Google gets the credentials of the environment.
    """

    def __init__(
        self, *, project: str, topic: str, endpoint: str = "", token: str = "", timeout_s: float = 10.0
    ) -> None:
        self._client = _client(endpoint)
        self._topic = f"projects/{project}/topics/{topic}"
        self._metadata = [("authorization", f"Bearer {token}")] if token else []
        self._timeout_s = timeout_s

    def publish(self, data: bytes, attributes: Mapping[str, str]) -> None:
        from google.api_core.exceptions import DeadlineExceeded, GoogleAPIError
        from google.auth.exceptions import GoogleAuthError

        message = {"data": data, "attributes": dict(attributes)}
        try:
            # Without the client's own retries, which last ten minutes: who publishes knows when to try again.
            self._client.publish(
                topic=self._topic,
                messages=[message],
                retry=None,
                timeout=self._timeout_s,
                metadata=self._metadata,
            )
        except DeadlineExceeded as error:
            raise UpstreamTimeout(SERVICE, f"did not answer within {self._timeout_s:g} seconds.") from error
        except (GoogleAPIError, GoogleAuthError) as error:
            raise UpstreamError(SERVICE, f"did not take the message: {type(error).__name__}.") from error

    def close(self) -> None:
        """Close the connection."""
        self._client.transport.close()


def _client(endpoint: str) -> Any:
    # The client under google.cloud.pubsub: one message at a time needs no batches, and no thread that collects
    # them, which a frozen instance would leave behind.
    import grpc
    from google.pubsub_v1.services.publisher import PublisherClient
    from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport

    if not endpoint:
        return PublisherClient()
    return PublisherClient(transport=PublisherGrpcTransport(channel=grpc.insecure_channel(endpoint)))
