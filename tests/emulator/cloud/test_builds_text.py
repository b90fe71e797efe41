"""Variables, filters and refusals of Cloud Build: text in, text out."""

from __future__ import annotations

from typing import Any

import pytest

from emulator.cloud.builds import filters
from emulator.cloud.builds.errors import ApiError
from emulator.cloud.builds.messages import parse_build, seconds_of, timestamp
from emulator.cloud.builds.substitutions import built_in, substituted
from emulator.cloud.builds.validation import NO_LOGGING, check_build, check_request

KNOWN = built_in(project="p1", project_number="7", location="global", build_id="b-1")
STEP = {"name": "registry.example:5000/team/tool"}
ACCOUNT = "projects/p1/serviceAccounts/builder@p1.iam.gserviceaccount.com"


def replaced(text: str, **fields: Any) -> str:
    build = substituted({"steps": [{**STEP, "args": [text]}], **fields}, KNOWN)
    return str(build["steps"][0]["args"][0])


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("$PROJECT_ID/${BUILD_ID}", "p1/b-1"),
        ("$$PROJECT_ID", "$PROJECT_ID"),
        ("$$$PROJECT_ID", "$p1"),
        ("$lower ${lower} $(cmd) $1 $", "$lower ${lower} $(cmd) $1 $"),
        ("[$COMMIT_SHA]", "[]"),
        ("${_NAME}x", "valuex"),
    ],
)
def test_variables_are_replaced_as_the_service_does(text: str, result: str) -> None:
    given = {"substitutions": {"_NAME": "value"}, "options": {"substitutionOption": "ALLOW_LOOSE"}}
    assert replaced(text, **given) == result


def test_a_value_is_not_looked_through_again() -> None:
    assert replaced("$_A", substitutions={"_A": "$PROJECT_ID"}) == "$PROJECT_ID"


@pytest.mark.parametrize(
    ("text", "given", "words"),
    [
        ("$_UNKNOWN", {}, 'key in the template "_UNKNOWN" is not matched'),
        ("$HOME", {}, 'key in the template "HOME" is not a valid built-in substitution'),
        ("nothing", {"_UNUSED": "x"}, 'key "_UNUSED" in the substitution data is not matched in the template'),
    ],
)
def test_a_variable_that_is_unknown_or_unused_is_refused_unless_loose(
    text: str, given: dict[str, str], words: str
) -> None:
    with pytest.raises(ApiError, match=words):
        replaced(text, substitutions=given)
    replaced(text, substitutions=given, options={"substitutionOption": "ALLOW_LOOSE"})


BUILD = {
    "id": "b-1",
    "status": "WORKING",
    "tags": ["binder", "img-1"],
    "images": ["registry.example/a:1"],
    "createTime": "2026-01-02T03:04:05.500000000Z",
}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("", True),
        ('tags="img-1"', True),
        ('tags="img"', False),
        ('status!="WORKING"', False),
        ('tags="binder" AND status="WORKING"', True),
        ('tags="binder" AND tags="other"', False),
        ('tags = "binder" status = WORKING', True),
        ('images="registry.example/a:1"', True),
        ('create_time>="2026-01-02T03:04:05.5Z"', True),
        ('create_time>"2026-01-02T03:04:05.5Z"', False),
        ('create_time<"2026-01-02T05:04:05+01:00"', True),
        ('finish_time>"2020-01-01T00:00:00Z"', False),
        ('build_id="b-1"', True),
    ],
)
def test_a_filter_chooses_builds(text: str, holds: bool) -> None:
    assert filters.parse(text)(BUILD) is holds


@pytest.mark.parametrize(
    "text",
    ["tags", 'tags="a" AND', 'AND tags="a"', 'tags>"a"', 'colour="red"', 'create_time>"soon"', "'a'", "x" * 10_001],
)
def test_a_filter_that_means_nothing_is_refused(text: str) -> None:
    with pytest.raises(ApiError, match="invalid list filter"):
        filters.parse(text)


def refusal(**fields: Any) -> str:
    build = {"steps": [STEP], **fields}
    try:
        check_request(build)
        check_build(build, location="global", buckets=["there"])
    except ApiError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, ""),
        ({"steps": []}, "no build steps"),
        ({"steps": [STEP] * 101}, "number of steps 101 exceeds the limit of 100"),
        ({"steps": [{}]}, "no name"),
        ({"steps": [{"name": "--privileged"}]}, "not the name of an image"),
        ({"steps": [{**STEP, "args": ["x"] * 101}]}, "args 101 exceeds"),
        ({"steps": [{**STEP, "args": ["x" * 4001]}]}, "longer than 4000"),
        ({"steps": [{**STEP, "env": ["NAME"]}]}, "KEY=VALUE"),
        ({"steps": [{**STEP, "dir": "../up"}]}, "must not contain '..'"),
        ({"steps": [{**STEP, "id": "a"}, {**STEP, "id": "a"}]}, "not unique"),
        ({"steps": [{**STEP, "waitFor": ["later"]}]}, "waitFor names no earlier step"),
        ({"steps": [{**STEP, "timeout": "20s"}], "timeout": "10s"}, "not between 0s and 10s"),
        ({"timeout": "86401s"}, "not between 0s and 86400s"),
        ({"queueTtl": "-1s"}, "not between"),
        ({"tags": ["a"] * 65}, "number of tags 65 exceeds the limit of 64"),
        ({"tags": ["registry.example/a:1"]}, "invalid build tag"),
        ({"tags": ["x" * 129]}, "invalid build tag"),
        ({"tags": ["x" * 128, "binder", "img-0_1.2"]}, ""),
        ({"images": ["UPPER/Case"]}, "invalid image name"),
        ({"substitutions": {"NAME": "x"}}, "does not respect format"),
        ({"substitutions": {"_NAME": "x" * 4001}}, "longer than 4000"),
        ({"serviceAccount": ACCOUNT}, NO_LOGGING),
        ({"serviceAccount": ACCOUNT, "options": {"logging": "GCS_ONLY"}}, NO_LOGGING),
        ({"serviceAccount": ACCOUNT, "logsBucket": "gs://there"}, ""),
        ({"serviceAccount": ACCOUNT, "options": {"logging": "CLOUD_LOGGING_ONLY"}}, ""),
        ({"serviceAccount": "builder@p1", "logsBucket": "gs://there"}, "projects/*/serviceAccounts/*"),
        ({"logsBucket": "gs://not-there"}, "the bucket does not exist"),
        ({"logsBucket": "gs://No_Bucket/../x"}, "invalid bucket"),
        ({"options": {"pool": {"name": "mine"}}}, "workerPools"),
        ({"options": {"pool": {"name": "projects/p/locations/asia/workerPools/a"}}}, "the worker pool is in asia"),
        ({"source": {"gitSource": {"url": "https://example.org"}}}, "does not know build.source"),
    ],
)
def test_a_build_is_refused_for_what_the_service_refuses(fields: dict[str, Any], words: str) -> None:
    assert (words in refusal(**fields)) if words else refusal(**fields) == ""


def test_requests_are_read_by_googles_own_definitions() -> None:
    build = parse_build(b'{"steps":[{"name":"a"}],"queue_ttl":"60s","options":{"logging":2,"machineType":"E2_MEDIUM"}}')
    assert build["queueTtl"] == "60s"
    assert build["options"] == {"logging": "GCS_ONLY", "machineType": "E2_MEDIUM"}


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"stepps":[]}', b'{"steps":"x"}', b'{"timeout":"soon"}', b"[" * 9999])
def test_a_request_that_is_no_build_is_an_invalid_argument(body: bytes) -> None:
    with pytest.raises(ApiError, match="Invalid JSON payload received") as caught:
        parse_build(body)
    assert caught.value.body()["error"]["status"] == "INVALID_ARGUMENT"


def test_times_have_nanoseconds_and_are_read_again() -> None:
    assert timestamp(1.25) == "1970-01-01T00:00:01.250000000Z"
    assert seconds_of(timestamp(1.25)) == 1.25
