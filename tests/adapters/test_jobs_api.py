"""Answers of the Kubernetes API that a healthy cluster does not give; the contract is tried on the emulator."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from functions.adapters.builds.jobs_api import JobsApi, Refused
from functions.core.errors import RateLimited, UpstreamError
from tests.fakes.web import Reply, Web


@pytest.fixture
def jobs(web: Web, tmp_path: Path) -> Iterator[JobsApi]:
    kubeconfig = {
        "current-context": "test",
        "clusters": [{"name": "test", "cluster": {"server": web.url}}],
        "users": [{"name": "test", "user": {"token": "secret"}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
    }
    (tmp_path / "kubeconfig").write_text(json.dumps(kubeconfig))
    with closing(JobsApi(namespace="builds", kubeconfig=str(tmp_path / "kubeconfig"), timeout_s=2)) as jobs:
        yield jobs


def chunked(*chunks: bytes, end: bool = True) -> Callable[[Reply], None]:
    def answer(reply: Reply) -> None:
        reply.send_response(200)
        reply.send_header("Transfer-Encoding", "chunked")
        reply.send_header("Connection", "close")
        reply.end_headers()
        for chunk in chunks:
            reply.chunk(chunk)
        if end:
            reply.chunk(b"")
        reply.close_connection = True

    return answer


def event(kind: str, **body: Any) -> bytes:
    return json.dumps({"type": kind, "object": body}).encode() + b"\n"


def test_making_the_adapter_asks_nothing(web: Web, jobs: JobsApi) -> None:
    assert jobs
    assert web.seen == []


def test_our_token_and_only_our_jobs_are_asked_for(web: Web, jobs: JobsApi) -> None:
    web.answer = lambda reply: reply.send(200, b'{"items": [], "metadata": {"resourceVersion": "7"}}')
    assert jobs.jobs() == ([], "7")
    (seen,) = web.seen
    assert seen.path == "/apis/batch/v1/namespaces/builds/jobs?labelSelector=component%3Dbinderless-build"
    assert seen.headers["authorization"] == "Bearer secret"


def test_a_deletion_takes_the_pods_with_it(web: Web, jobs: JobsApi) -> None:
    web.answer = lambda reply: reply.send(200, b"{}")
    jobs.delete("build-1")
    (seen,) = web.seen
    assert (seen.method, seen.path) == ("DELETE", "/apis/batch/v1/namespaces/builds/jobs/build-1")
    assert json.loads(seen.body) == {"propagationPolicy": "Background"}


def test_a_name_is_no_path(web: Web, jobs: JobsApi) -> None:
    web.answer = lambda reply: reply.send(404, b"{}")
    assert jobs.get("a/../../secrets?x=") is None
    assert web.seen[0].path == "/apis/batch/v1/namespaces/builds/jobs/a%2F..%2F..%2Fsecrets%3Fx%3D"


@pytest.mark.parametrize("body", [b"", b"<html>", b"{"])
def test_an_answer_that_is_not_json_is_an_error_of_ours(web: Web, jobs: JobsApi, body: bytes) -> None:
    web.answer = lambda reply: reply.send(200, body)
    with pytest.raises(UpstreamError, match="not JSON"):
        jobs.jobs()


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"message": "no quota left"}'])
def test_a_refusal_is_told_in_its_own_words(web: Web, jobs: JobsApi, body: bytes) -> None:
    web.answer = lambda reply: reply.send(403, body)
    with pytest.raises(UpstreamError, match="Kubernetes answered 403") as caught:
        jobs.create({"metadata": {"name": "a"}})
    assert ("no quota left" in str(caught.value)) == (b"quota" in body)
    with pytest.raises(UpstreamError, match="Kubernetes answered 403"):
        jobs.delete("a")


@pytest.mark.parametrize(("header", "wait_s"), [("7", 7), ("soon", 1), ("", 1)])
def test_a_busy_cluster_says_when_to_come_back(web: Web, jobs: JobsApi, header: str, wait_s: float) -> None:
    web.answer = lambda reply: reply.send(429, headers={"Retry-After": header})
    with pytest.raises(RateLimited) as caught:
        jobs.get("a")
    assert caught.value.retry_after_s == wait_s


def test_a_failed_call_is_not_repeated(web: Web, jobs: JobsApi) -> None:
    web.answer = lambda reply: reply.send(500)
    with pytest.raises(UpstreamError):
        jobs.get("a")
    assert len(web.seen) == 1


def test_events_are_read_however_they_are_cut(web: Web, jobs: JobsApi) -> None:
    one, two = event("ADDED", metadata={"name": "a"}), event("DELETED", metadata={"name": "b"})
    web.answer = chunked(one[:9], one[9:] + b"\n" + two[:1], two[1:])
    assert [found["type"] for found in jobs.watch("7", timeout_s=5)] == ["ADDED", "DELETED"]
    assert web.seen[0].path.endswith("&watch=true&resourceVersion=7&timeoutSeconds=5")


@pytest.mark.parametrize(
    "answer",
    [
        chunked(event("ERROR", code=410, message="too old resource version")),
        lambda reply: reply.send(410, b'{"message": "too old resource version"}'),
    ],
    ids=["in the stream", "at once"],
)
def test_a_version_too_old_is_refused(web: Web, jobs: JobsApi, answer: Callable[[Reply], None]) -> None:
    web.answer = answer
    with pytest.raises(Refused, match="too old resource version") as caught:
        list(jobs.watch("7", timeout_s=5))
    assert caught.value.status == 410


def test_a_watch_that_breaks_off_is_an_error_of_ours(web: Web, jobs: JobsApi) -> None:
    web.answer = chunked(event("ADDED", metadata={"name": "a"}), end=False)
    watch = jobs.watch("7", timeout_s=5)
    assert next(watch)["type"] == "ADDED"
    with pytest.raises(UpstreamError, match="broke the connection off"):
        next(watch)


def test_a_watch_of_nonsense_is_an_error_of_ours(web: Web, jobs: JobsApi) -> None:
    web.answer = chunked(b"nonsense\n")
    with pytest.raises(UpstreamError, match="not JSON"):
        list(jobs.watch("7", timeout_s=5))


@pytest.mark.parametrize("kubeconfig", ["", "missing"])
def test_without_a_kubeconfig_kubernetes_is_out_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kubeconfig: str
) -> None:
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "nowhere"))
    jobs = JobsApi(namespace="builds", kubeconfig=str(tmp_path / kubeconfig) if kubeconfig else "")
    with pytest.raises(UpstreamError, match="Kubernetes cannot be asked, for want of a kubeconfig"):
        jobs.get("x")
