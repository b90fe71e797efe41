"""The few calls of the Kubernetes API that builds and the cull need; addresses, TLS and tokens by the official client.

Objects are JSON as Kubernetes sends it. The client's models are not used: loading them would cost every cold start half
a second, and they lack the log option that reading on from a cursor needs. Errors of the client stop here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cached_property
from typing import Any

from urllib3.exceptions import HTTPError, NewConnectionError, TimeoutError

from functions.adapters.builds.job import COMPONENT, CONTAINER
from functions.core.errors import RateLimited, UpstreamError, UpstreamTimeout

Object = dict[str, Any]

SERVICE = "Kubernetes"
_JOBS = "/apis/batch/v1/namespaces/{namespace}/jobs"
_PODS = "/api/v1/namespaces/{namespace}/pods"
_OURS = ("labelSelector", f"component={COMPONENT}")
# https://kubernetes.io/docs/reference/using-api/api-concepts/#retrieving-large-results-sets-in-chunks
_PAGE = "250"


class Refused(Exception):
    """Kubernetes has answered no: *status* and its words."""

    def __init__(self, status: int, message: str, headers: Mapping[str, str]) -> None:
        self.status, self.message, self.headers = status, message, headers
        super().__init__(f"{status}: {message}")


class JobsApi:
    """Jobs of one namespace, their pods and logs; threads may share it.

    *kubeconfig* is a file; empty, the cluster around this process or the usual kubeconfig is meant.
    """

    def __init__(self, *, namespace: str, kubeconfig: str = "", timeout_s: float = 10.0) -> None:
        self._namespace = namespace
        self._kubeconfig = kubeconfig
        self._timeout_s = timeout_s

    def create(self, manifest: Mapping[str, Any]) -> bool:
        """Create a job; False when there is one of this name already."""
        try:
            self._json("POST", _JOBS, body=manifest)
        except Refused as refused:
            if refused.status != 409:
                raise _as_ours(refused) from refused
            return False
        return True

    def get(self, name: str) -> Object | None:
        """The job, if it is one of ours."""
        try:
            job = self._json("GET", f"{_JOBS}/{{name}}", name=name)
        except Refused as refused:
            if refused.status != 404:
                raise _as_ours(refused) from refused
            return None
        ours = job["metadata"].get("labels", {}).get("component") == COMPONENT
        return job if ours else None

    def delete(self, name: str) -> None:
        """Delete a job with its pods; an absent one is fine."""
        body = {"propagationPolicy": "Background"}
        try:
            self._json("DELETE", f"{_JOBS}/{{name}}", name=name, body=body)
        except Refused as refused:
            if refused.status != 404:
                raise _as_ours(refused) from refused

    def jobs(self) -> tuple[list[Object], str]:
        """All jobs of builds, and the version to watch on from."""
        listed = self._list(_JOBS, _OURS)
        return listed["items"], listed["metadata"]["resourceVersion"]

    def pods(self, job: str = "") -> list[Object]:
        """The pods of *job*, oldest first; of all builds when it is empty."""
        listed = self._list(_PODS, ("labelSelector", f"job-name={job}") if job else _OURS)
        pods: list[Object] = listed["items"]
        return sorted(pods, key=lambda pod: str(pod["metadata"].get("creationTimestamp", "")))

    def pods_labelled(self, selector: str, after: str = "") -> tuple[list[Object], str]:
        """Some pods with the labels of *selector*, and what to go on *after*; empty when there are no more."""
        query = [("labelSelector", selector), ("limit", _PAGE), *([("continue", after)] if after else [])]
        listed = self._list(_PODS, *query)
        return listed["items"], str(listed["metadata"].get("continue") or "")

    def delete_pod(self, name: str, *, uid: str) -> None:
        """Delete the pod if it is still the one with *uid*; an absent one is fine."""
        body = {"preconditions": {"uid": uid}}
        try:
            self._json("DELETE", f"{_PODS}/{{name}}", name=name, body=body)
        except Refused as refused:
            if refused.status not in (404, 409):
                raise _as_ours(refused) from refused

    def watch(self, version: str, *, timeout_s: int) -> Iterator[Object]:
        """What happens to jobs after *version*, until *timeout_s* is over. Raises Refused(410) for one too old."""
        query = [_OURS, ("watch", "true"), ("resourceVersion", version), ("timeoutSeconds", str(timeout_s))]
        with self._open("GET", _JOBS, query, quiet_s=timeout_s + self._timeout_s) as answer:
            for line in _lines(answer):
                event = _parsed(line)
                if event["type"] == "ERROR":
                    status = event["object"]
                    raise Refused(int(status.get("code", 500)), str(status.get("message", "")), {})
                yield event

    @contextmanager
    def log(self, pod: str, *options: tuple[str, str]) -> Iterator[Iterator[bytes]]:
        """The log of our container in *pod*, as pieces of whatever size. Raises Refused where there is none."""
        query = [("container", CONTAINER), *options]
        with self._open("GET", f"{_PODS}/{{name}}/log", query, name=pod) as answer:
            yield answer.stream(65536)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    @cached_property
    def _client(self) -> Any:
        # Loaded by the first call: most launches find their image and never ask Kubernetes.
        return _client(self._kubeconfig)

    def _list(self, path: str, *query: tuple[str, str]) -> Object:
        try:
            return self._json("GET", path, *query)
        except Refused as refused:
            raise _as_ours(refused) from refused

    def _json(self, method: str, path: str, *query: tuple[str, str], **options: Any) -> Object:
        with self._open(method, path, list(query), **options) as answer:
            return _parsed(answer.read())

    @contextmanager
    def _open(
        self,
        method: str,
        path: str,
        query: list[tuple[str, str]],
        *,
        name: str = "",
        body: Mapping[str, Any] | None = None,
        quiet_s: float = 0.0,
    ) -> Iterator[Any]:
        """One request; its answer is open until the end of the block, and errors in the block are turned into ours."""
        request = self._client.param_serialize(
            method=method,
            resource_path=path,
            path_params={"namespace": self._namespace, "name": name},
            query_params=query,
            header_params={"Accept": "application/json", "Content-Type": "application/json"},
            body=body,
            auth_settings=["BearerToken"],
        )
        try:
            timeout = (self._timeout_s, quiet_s or self._timeout_s)
            answer = self._client.call_api(*request, _request_timeout=timeout).response
            try:
                if not 200 <= answer.status < 300:
                    raise Refused(answer.status, _message(answer.read()), answer.headers)
                yield answer
            finally:
                answer.close()
        except NewConnectionError as error:
            raise UpstreamError(SERVICE, "cannot be reached.") from error
        except TimeoutError as error:
            raise UpstreamTimeout(SERVICE, f"did not answer within {self._timeout_s:g} seconds.") from error
        except HTTPError as error:
            raise UpstreamError(SERVICE, "broke the connection off.") from error


def _client(kubeconfig: str) -> Any:
    from kubernetes import client, config

    configuration = client.Configuration()
    try:
        if kubeconfig:
            config.load_kube_config(kubeconfig, client_configuration=configuration, persist_config=False)
        else:
            _load_usual(config, configuration)
    except (config.ConfigException, OSError) as error:
        raise UpstreamError(SERVICE, f"cannot be asked, for want of a kubeconfig: {error}") from error
    # As many kept connections as an instance has threads. Who asks is who tries again, not the client under it.
    configuration.connection_pool_maxsize = 250
    configuration.retries = False
    return client.ApiClient(configuration)


def _load_usual(config: Any, configuration: Any) -> None:
    try:
        config.load_incluster_config(client_configuration=configuration)
    except config.ConfigException:
        config.load_kube_config(client_configuration=configuration, persist_config=False)


def _parsed(body: bytes) -> Object:
    try:
        found: Object = json.loads(body)
    except ValueError as error:
        raise UpstreamError(SERVICE, "answered something that is not JSON.") from error
    return found


def _as_ours(refused: Refused) -> UpstreamError:
    if refused.status == 429:
        asked = refused.headers.get("Retry-After", "")
        return RateLimited(SERVICE, retry_after_s=float(asked) if asked.isdigit() else 1.0)
    return UpstreamError(SERVICE, f"answered {refused.status}: {refused.message}")


def _message(body: bytes) -> str:
    with suppress(ValueError, TypeError, KeyError):
        return str(json.loads(body)["message"])[:500]
    return body[:200].decode(errors="replace")


def _lines(answer: Any) -> Iterator[bytes]:
    rest = b""
    for piece in answer.stream(65536):
        *lines, rest = (rest + piece).split(b"\n")
        yield from filter(None, lines)
