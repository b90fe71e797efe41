"""The spawner, as the real KubeSpawner class without a cluster: what it makes of a launch's options."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from jupyterhub.objects import Hub, Server
from kubespawner import KubeSpawner
from tornado.web import HTTPError
from traitlets.config import Config

from hub.binderless_spawner import VARIABLE_OF_OPTION, BinderlessSpawner, checked_options, configure, literal

OPTIONS = {
    "image": "registry/binder-a:1",
    "token": "s3cret",
    "repo_url": "https://example.org/$(HOME)",
    "binder_ref_url": "https://example.org/tree/1",
    "binder_launch_host": "https://binder.example.org/",
    "binder_request": "v2/gh/a/b/HEAD",
    "binder_persistent_request": "v2/gh/a/b/1",
    "binder_client_ip": "192.0.2.1",
}


class User:
    id = 1
    name = escaped_name = "a-b-x1"
    url = "/user/a-b-x1"
    settings: Mapping[str, Any] = {}


KUBECONFIG = """
apiVersion: v1
kind: Config
clusters: [{name: nowhere, cluster: {server: "http://127.0.0.1:1"}}]
users: [{name: nobody, user: {token: none}}]
contexts: [{name: nowhere, context: {cluster: nowhere, user: nobody}}]
current-context: nowhere
"""


@pytest.fixture
def no_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A KubeSpawner wants to know its cluster at once; it is not asked for anything."""
    (tmp_path / "kubeconfig").write_text(KUBECONFIG)
    monkeypatch.setattr("kubernetes_asyncio.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", f"{tmp_path}/kubeconfig")


@pytest.fixture
def make(no_cluster: None) -> Iterator[Callable[..., Any]]:
    """Makes a spawner with the given settings."""
    made: list[Any] = []
    with asyncio.Runner() as runner:

        def begin(**settings: Any) -> Any:
            made.append(runner.run(a_spawner(settings)))
            return made[-1]

        yield begin
        for spawner in made:
            runner.run(spawner.api.api_client.close())


@pytest.fixture
def spawner(make: Callable[..., Any]) -> Any:
    return make()


async def a_spawner(settings: Mapping[str, Any]) -> Any:
    c = Config()
    configure(c)
    c.BinderlessSpawner.update(settings)
    made = BinderlessSpawner(hub=Hub(), user=User(), config=c, _mock=True)
    made._server = Server(ip="192.0.2.7", port=8888, base_url="/user/a-b-x1/")
    made.user_options = dict(OPTIONS)
    made.api_token = "hub-token"
    return made


def test_the_server_listens_on_the_address_of_its_pod(spawner: Any) -> None:
    assert spawner.get_args()[:2] == ["--ip=$(POD_IP)", "--port=8888"]
    assert spawner.get_env()["POD_IP"]["valueFrom"] == {"fieldRef": {"fieldPath": "status.podIP"}}


def test_every_option_is_given_to_new_and_old_servers(spawner: Any) -> None:
    new = [arg.partition(".")[2] for arg in spawner.get_args() if arg.startswith("--ServerApp.")]
    old = [arg.partition(".")[2] for arg in spawner.get_args() if arg.startswith("--NotebookApp.")]
    assert new == old == ["base_url=/user/a-b-x1/", "trust_xheaders=True"]


@pytest.mark.parametrize(
    ("origin", "expected"),
    [("*", "--ServerApp.allow_origin_pat=.*"), ("https://a.example", "--ServerApp.allow_origin=https://a.example")],
    ids=["any origin", "one origin"],
)
def test_other_origins_may_be_let_in(make: Callable[..., Any], origin: str, expected: str) -> None:
    assert expected in make(cors_allow_origin=origin).get_args()


def test_the_default_page_is_given(spawner: Any) -> None:
    spawner.default_url = "/lab/tree/a b.ipynb"
    assert "--ServerApp.default_url=/lab/tree/a b.ipynb" in spawner.get_args()


def test_the_token_is_in_the_environment_and_not_on_the_command_line(spawner: Any) -> None:
    assert spawner.get_env()["JUPYTER_TOKEN"] == "s3cret"
    assert not any("s3cret" in argument for argument in [*spawner.cmd, *spawner.get_args()])


def test_binder_variables_are_those_of_binderhub(spawner: Any) -> None:
    environment = spawner.get_env()
    for option, variable in VARIABLE_OF_OPTION.items():
        assert environment[variable] == OPTIONS[option].replace("$", "$$")


def test_a_variable_without_its_option_is_empty(spawner: Any) -> None:
    del spawner.user_options["binder_client_ip"]
    assert spawner.get_env()["BINDER_CLIENT_IP"] == ""


def test_kubernetes_does_not_expand_what_strangers_wrote() -> None:
    assert literal("$(JUPYTERHUB_API_TOKEN)") == "$$(JUPYTERHUB_API_TOKEN)"


@pytest.mark.parametrize("missing", ["image", "token"])
def test_without_image_or_token_nothing_starts(spawner: Any, missing: str) -> None:
    del spawner.user_options[missing]
    with pytest.raises(HTTPError) as refusal:
        asyncio.run(spawner.start())
    assert refusal.value.status_code == 400
    assert missing in str(refusal.value)


@pytest.mark.parametrize(
    "value",
    [17, ["--allow-root"], {"a": "b"}, "x" * 5000, "two\nlines", "nul\0", True],
    ids=["number", "list", "mapping", "too long", "newline", "nul", "boolean"],
)
@pytest.mark.parametrize("option", ["image", "repo_url"])
def test_options_that_are_no_line_of_text_are_refused(option: str, value: object) -> None:
    with pytest.raises(HTTPError) as refusal:
        checked_options({**OPTIONS, option: value})
    assert refusal.value.status_code == 400


def test_options_that_are_not_ours_are_dropped() -> None:
    assert "cmd" not in checked_options({**OPTIONS, "cmd": "rm"})


def test_the_pod_runs_the_image_with_all_of_this(spawner: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def start_nothing(self: Any) -> str:
        return str(self.image)

    monkeypatch.setattr(KubeSpawner, "start", start_nothing)
    assert asyncio.run(spawner.start()) == OPTIONS["image"]
    container = asyncio.run(spawner.get_pod_manifest()).spec.containers[0]
    assert container.image == OPTIONS["image"]
    assert container.args[:2] == ["python3", "-c"]
    assert "--ip=$(POD_IP)" in container.args
    assert {"POD_IP", "JUPYTER_TOKEN", "BINDER_REPO_URL"} <= {variable.name for variable in container.env}


def test_one_broken_image_does_not_stop_the_hub() -> None:
    c = Config()
    configure(c)
    assert c.Spawner.consecutive_failure_limit == 0
    assert c.JupyterHub.tornado_settings == {"slow_spawn_timeout": 0}
