"""What Cloud Build is asked for."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest
import yaml
from google.cloud.devtools.cloudbuild_v1 import Build
from google.protobuf.json_format import ParseError

from functions.adapters.builds.cloud_build_request import (
    TEMPLATE,
    BuildOrder,
    build_document,
    build_tag,
    literally,
    repository_tag,
)
from functions.core.ports import BuildRequest

REQUEST = BuildRequest(name="build-x", image="r.example.org/p/x:c0", repo_url="https://g.example.org/x", ref="c0ffee")
ORDER = BuildOrder(
    image="r.example.org/repo2docker@sha256:1", service_account="projects/p/serviceAccounts/b@x.org", log_bucket="logs"
)


def document(request: BuildRequest = REQUEST, **changes: Any) -> dict[str, Any]:
    last_image = changes.pop("last_image", "")
    return build_document(request, replace(ORDER, **changes), last_image=last_image)


def parsed(found: dict[str, Any]) -> Any:
    return Build.from_json(json.dumps(found))


def test_the_template_is_a_build_as_the_api_has_it() -> None:
    template = yaml.safe_load(TEMPLATE.read_text())
    assert parsed(template).steps[0].dir_ == "/"
    with pytest.raises(ParseError, match="no field"):
        parsed({**template, "logBucket": "x"})


def test_a_build_by_the_template_alone_is_the_one_that_the_functions_ask_for() -> None:
    values = {"_IMAGE": REQUEST.image, "_REF": REQUEST.ref, "_REPO_URL": REQUEST.repo_url, "_BUILDER": ORDER.image}
    text = re.sub(r"\$\{(\w+)\}", lambda match: values.get(match[1], match[0]), TEMPLATE.read_text())
    by_hand, ours = yaml.safe_load(text), document()
    assert by_hand["steps"] == ours["steps"]
    assert by_hand["images"] == ours["images"]
    assert by_hand["options"] == ours["options"]


def test_every_variable_of_the_template_is_filled_in() -> None:
    assert "$" not in json.dumps(document())
    build = parsed(document(timeout_s=7, queue_ttl_s=8))
    assert (build.timeout.seconds, build.queue_ttl.seconds, build.logs_bucket) == (7, 8, "gs://logs")
    assert build.service_account == ORDER.service_account


def test_the_repository_is_no_source_and_no_working_folder() -> None:
    found = document()
    assert "source" not in found
    assert found["steps"][0]["dir"] == "/"
    assert "entrypoint" not in found["steps"][0]


HOSTILE = "https://g.example.org/$PROJECT_ID/${_REF}/$$/--config=x"


def test_variables_in_a_strangers_words_stay_words() -> None:
    found = document(replace(REQUEST, repo_url=HOSTILE, ref="$BUILD_ID", appendix="LABEL a=$_X"))
    args = found["steps"][0]["args"]
    assert args[-2:] == ["--", literally(HOSTILE)]
    assert "--ref=$$BUILD_ID" in args
    assert "--appendix=LABEL a=$$_X" in args
    assert not re.search(r"(?<!\$)(\$\$)*\$(?!\$)", json.dumps(found))


def test_a_strangers_words_open_no_network_for_their_build() -> None:
    hostile = "--DockerEngine.extra_buildx_build_args=--network=cloudbuild"
    args = document(replace(REQUEST, repo_url=hostile))["steps"][0]["args"]
    options = args[: args.index("--")]
    assert [word for word in options if "buildx" in word] == [
        "--DockerEngine.extra_buildx_build_args=--build-arg=BUILDKIT_INLINE_CACHE=1"
    ]
    assert args[args.index("--") + 1 :] == [hostile]


def test_cloud_build_pushes_and_repo2docker_does_not() -> None:
    found = document()
    assert found["images"] == [REQUEST.image]
    assert "--push" not in found["steps"][0]["args"]


def test_layers_come_from_the_last_image_if_there_is_one() -> None:
    assert not [word for word in document()["steps"][0]["args"] if word.startswith("--cache-from")]
    args = document(last_image="r/i@sha256:1")["steps"][0]["args"]
    assert args.index("--cache-from=r/i@sha256:1") < args.index("--")


def test_tags_are_hashes() -> None:
    assert document()["tags"] == ["binderless", build_tag(REQUEST.name), repository_tag(REQUEST.image)]
    assert all(re.fullmatch(r"[\w][\w.-]{0,127}", tag) for tag in document()["tags"])


def test_builds_of_one_repository_share_a_tag() -> None:
    assert repository_tag("r/p/x:1") == repository_tag("r/p/x:2") != repository_tag("r/p/y:1")


def test_a_machine_or_a_pool_is_the_operators_choice() -> None:
    pool = "projects/p/locations/l/workerPools/w"
    assert "machineType" not in document()["options"]
    assert parsed(document(machine_type="E2_HIGHCPU_8")).options.machine_type.name == "E2_HIGHCPU_8"
    assert parsed(document(private_pool=pool)).options.pool.name == pool


def test_one_build_leaves_nothing_in_the_next() -> None:
    document(machine_type="E2_HIGHCPU_8")
    assert document() == document()
    assert "machineType" not in document()["options"]
