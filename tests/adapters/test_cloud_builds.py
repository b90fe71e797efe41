"""Cloud Build when it does not answer as one would wish."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest

from functions.adapters.builds.cloud_build import GRACE_S, TWIN_S, CloudBuilds
from functions.adapters.builds.cloud_build_api import CloudBuildApi
from functions.adapters.builds.cloud_build_request import BuildOrder, build_tag
from functions.core.errors import RateLimited, UpstreamError, UpstreamTimeout
from functions.core.ports import BuildRequest, BuildStatus
from tests.fakes.cloud_build import CloudBuildFake, a_build, build_id, connect
from tests.fakes.web import Web

REQUEST = BuildRequest(name="build-x", image="r.example.org/x:1", repo_url="https://g.example.org/x", ref="c0ffee")
ORDER = BuildOrder(image="r2d", service_account="projects/p1/serviceAccounts/b@x.org", log_bucket="logs")
HEAD = b'starting build "1"\n\nFETCHSOURCE\nBUILD\n'


@pytest.fixture
def fake(web: Web) -> CloudBuildFake:
    return connect(web)


def api_at(url: str, *, timeout_s: float = 10.0) -> CloudBuildApi:
    return CloudBuildApi(
        project="p1", region="l1", endpoint=url, storage_endpoint=url, token="secret-token", timeout_s=timeout_s
    )


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
def builds(web: Web, fake: CloudBuildFake, pauses: list[float]) -> CloudBuilds:
    return CloudBuilds(api_at(web.url), ORDER, sleep=pauses.append)


def reported(builds: CloudBuilds, fake: CloudBuildFake, build: dict[str, Any]) -> tuple[BuildStatus, str, bool]:
    fake.builds = [build]
    report = builds.status(build["id"])
    assert report is not None
    return report.status, report.reason, report.our_fault


def test_every_request_carries_the_token(builds: CloudBuilds, fake: CloudBuildFake, web: Web) -> None:
    builds.submit(REQUEST)
    builds.log(build_id(1))
    assert {seen.headers["authorization"] for seen in web.seen} == {"Bearer secret-token"}


def test_a_build_that_is_there_is_not_created_again(builds: CloudBuilds, fake: CloudBuildFake) -> None:
    fake.builds = [a_build(7, "SUCCESS")]
    assert builds.submit(REQUEST) == build_id(7)
    assert fake.created == []
    assert fake.filters == [f'tags="{build_tag("build-x")}"']


def test_of_builds_that_were_created_twice_the_older_one_counts(builds: CloudBuilds, fake: CloudBuildFake) -> None:
    fake.builds = [a_build(9), a_build(7), a_build(8, "FAILURE")]
    assert builds.submit(REQUEST) == build_id(7)
    assert fake.cancelled == [build_id(9)]


def test_a_build_that_another_created_meanwhile_takes_the_place_of_ours(
    builds: CloudBuilds, fake: CloudBuildFake
) -> None:
    fake.lists = [[], []]
    fake.builds = [a_build(7)]
    assert builds.submit(REQUEST) == build_id(7)
    assert fake.cancelled == [build_id(51)]


def test_a_build_that_was_created_is_known_although_listing_fails(builds: CloudBuilds, fake: CloudBuildFake) -> None:
    fake.lists = [[], [], 503, 503, 503]
    assert builds.submit(REQUEST) == build_id(51)


def test_a_build_that_was_created_twice_is_withdrawn_although_listing_fails_for_a_while(
    builds: CloudBuilds, fake: CloudBuildFake, pauses: list[float]
) -> None:
    fake.lists = [[], [], 503, 503]
    fake.builds = [a_build(52)]
    assert builds.submit(REQUEST) == build_id(51)
    assert fake.cancelled == [build_id(52)]
    assert pauses == list(TWIN_S)


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_build_whose_creation_was_not_answered_is_waited_for(
    builds: CloudBuilds, fake: CloudBuildFake, pauses: list[float], status: int
) -> None:
    fake.creates = [status]
    # The list is late, and once it fails.
    fake.lists = [[], [], [], 503, [a_build(7)]]
    assert builds.submit(REQUEST) == build_id(7)
    assert pauses == list(GRACE_S[:3])
    assert fake.created == []


def test_a_build_that_nobody_finds_is_left_to_who_comes_next(
    builds: CloudBuilds, fake: CloudBuildFake, pauses: list[float]
) -> None:
    fake.creates = [503]
    with pytest.raises(UpstreamError, match="Cloud Build did not answer well"):
        builds.submit(REQUEST)
    assert pauses == list(GRACE_S)
    assert builds.submit(REQUEST) == build_id(51)
    assert len(fake.created) == 1


@pytest.mark.parametrize("status", [400, 403, 404, 429])
def test_a_create_that_is_refused_is_not_looked_for(
    builds: CloudBuilds, fake: CloudBuildFake, pauses: list[float], status: int
) -> None:
    fake.creates = [status]
    with pytest.raises(UpstreamError):
        builds.submit(REQUEST)
    assert pauses == []


def test_why_a_create_is_refused_is_told_in_googles_words(builds: CloudBuilds, fake: CloudBuildFake) -> None:
    fake.creates = [400]
    with pytest.raises(UpstreamError, match=r"Cloud Build answered 400: .*in Google's words"):
        builds.submit(REQUEST)


def test_too_many_requests_are_a_wish_for_patience(builds: CloudBuilds, fake: CloudBuildFake) -> None:
    fake.refusal = 429
    with pytest.raises(RateLimited):
        builds.status(build_id(1))


def test_a_token_that_is_not_taken_is_an_error_of_ours(builds: CloudBuilds, fake: CloudBuildFake) -> None:
    fake.refusal = 401
    with pytest.raises(UpstreamError, match="Cloud Build"):
        builds.status(build_id(1))


def test_a_cloud_build_that_is_silent_or_gone_is_an_error_of_ours() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(UpstreamError, match="cannot be reached"):
            api_at(url).get(build_id(1))
        silent.listen()
        with pytest.raises(UpstreamTimeout, match=r"did not answer within 0.2 seconds"):
            api_at(url, timeout_s=0.2).get(build_id(1))


@pytest.mark.parametrize("text", ["", "unknown", "../builds", build_id(1).upper() + "X", f"{build_id(1)}\n"], ids=repr)
def test_text_that_is_no_id_goes_into_no_address(builds: CloudBuilds, web: Web, text: str) -> None:
    assert builds.status(text) is None
    assert builds.log(text).lines == ()
    builds.cancel(text)
    assert web.seen == []


def test_a_status_of_the_future_is_of_a_build_that_goes_on(builds: CloudBuilds, fake: CloudBuildFake) -> None:
    assert reported(builds, fake, a_build(1, "STATUS_UNKNOWN"))[0] is BuildStatus.PENDING


@pytest.mark.parametrize(
    ("status", "failure", "ours"),
    [
        ("FAILURE", "USER_BUILD_STEP", False),
        ("FAILURE", "", False),
        ("FAILURE", "PUSH_FAILED", True),
        ("FAILURE", "PUSH_IMAGE_NOT_FOUND", True),
        ("FAILURE", "PUSH_NOT_AUTHORIZED", True),
        ("FAILURE", "LOGGING_FAILURE", True),
        ("FAILURE", "FETCH_SOURCE_FAILED", True),
        ("TIMEOUT", "", False),
        ("INTERNAL_ERROR", "", True),
        ("EXPIRED", "", True),
        ("CANCELLED", "", True),
    ],
)
def test_a_failure_is_the_repositorys_or_ours(
    builds: CloudBuilds, fake: CloudBuildFake, status: str, failure: str, ours: bool
) -> None:
    info = {"failureInfo": {"type": failure, "detail": "details"}} if failure else {}
    found = reported(builds, fake, a_build(1, status, finishTime="2026-01-01T12:01:00Z", **info))
    assert (found[0], found[2]) == (BuildStatus(status), ours)
    assert found[1].endswith(("details" if failure else "", "seconds."))


def test_the_reason_is_what_repo2docker_said_last(builds: CloudBuilds, fake: CloudBuildFake) -> None:
    said = json.dumps({"phase": "failed", "message": "No such package\n"})
    fake.log = b"x" * 100_000 + f'\nStep #0 - "repo2docker": {said}\nFinished Step #0\nERROR\n'.encode()
    assert reported(builds, fake, a_build(1, "FAILURE"))[1] == "No such package"
    fake.log_status = 403
    assert reported(builds, fake, a_build(1, "FAILURE"))[1] == "The build failed."


def test_an_image_of_another_name_is_not_the_builds(builds: CloudBuilds, fake: CloudBuildFake) -> None:
    images = [{"name": "r/other:1", "digest": "sha256:0"}, {"name": "r/x:1", "digest": "sha256:1"}]
    fake.builds = [a_build(1, "SUCCESS", images=["r/x:1"], results={"images": images})]
    report = builds.status(build_id(1))
    assert report is not None
    assert report.digest == "sha256:1"


@pytest.mark.parametrize("status", [404, 416, 429, 500, 503])
def test_a_log_that_cannot_be_read_now_is_read_later(builds: CloudBuilds, fake: CloudBuildFake, status: int) -> None:
    fake.log = HEAD + b"one\n"
    first = builds.log(build_id(1))
    fake.log_status = status
    fake.log += b"two\n"
    assert builds.log(build_id(1), first.cursor) == builds.log(build_id(1), first.cursor)
    assert builds.log(build_id(1), first.cursor).lines == ()
    fake.log_status = 0
    assert builds.log(build_id(1), first.cursor).lines == ("two",)


def test_a_log_that_we_may_not_read_is_an_error_of_ours(builds: CloudBuilds, fake: CloudBuildFake) -> None:
    fake.log_status = 403
    with pytest.raises(UpstreamError, match="Cloud Storage answered 403"):
        builds.log(build_id(1))


def test_a_storage_without_ranges_repeats_no_line(builds: CloudBuilds, fake: CloudBuildFake) -> None:
    fake.knows_ranges = False
    fake.log = HEAD + b"one\n"
    first = builds.log(build_id(1))
    assert builds.log(build_id(1), first.cursor).lines == ()
    fake.log += b"two\n"
    assert builds.log(build_id(1), first.cursor).lines == ("two",)


def test_a_flood_is_read_in_pieces(builds: CloudBuilds, fake: CloudBuildFake) -> None:
    lines = [f"{number} " + "x" * 1000 for number in range(2000)]
    fake.log = HEAD + "".join(f"{line}\n" for line in lines).encode()
    read: list[str] = []
    cursor = ""
    while (chunk := builds.log(build_id(1), cursor)).lines:
        assert sum(map(len, chunk.lines)) < 600_000
        cursor = chunk.cursor
        read += chunk.lines
    assert read == lines


def test_a_cancel_that_came_too_late_does_nothing(builds: CloudBuilds, fake: CloudBuildFake) -> None:
    fake.builds = [a_build(1, "SUCCESS")]
    builds.cancel(build_id(1))
    assert fake.cancelled == []
    fake.builds = [a_build(1)]
    builds.cancel(build_id(1))
    assert fake.cancelled == [build_id(1)]
