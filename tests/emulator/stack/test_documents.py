"""What the stack writes is what the parts read: every document goes through its own reader."""

from __future__ import annotations

import csv
import ipaddress
import json
import stat
from pathlib import Path

import pytest
import yaml

from emulator.cloud import credentials, schedule
from emulator.cloud.builds import settings as build_settings
from emulator.cloud.pubsub.filters import MAX_BYTES, parse
from emulator.cloud.registry.access import Access as RegistryAccess
from emulator.cloud.registry.errors import RegistryError
from emulator.images.stock import BUILDER, SHELL
from emulator.run import config as run_configuration
from emulator.stack import cloud_build, documents
from emulator.stack.access import CLUSTER_USERS, Access, prepare
from emulator.stack.installation import ROOT, network_variables, part_environment
from emulator.stack.ports import DETOURS, FREE_PORTS, PORTS
from emulator.stack.state import StateFolder
from emulator.stack.topics import TERMINAL, subscription
from functions.core import config as configuration

PORT_NUMBERS = {port.name: 20_000 + number for number, port in enumerate(PORTS)}


@pytest.fixture
def state(tmp_path: Path) -> StateFolder:
    return StateFolder(tmp_path / "state")


@pytest.fixture
def access(state: StateFolder) -> Access:
    return prepare(state, PORT_NUMBERS)


def test_the_functions_take_their_configuration(state: StateFolder, access: Access) -> None:
    document = documents.functions_config(PORT_NUMBERS, state=state.path, network={"HTTPS_PROXY": "http://p$x"})
    environment = documents.functions_environment(access, user="functions")
    config, _ = configuration.load(yaml.safe_load(yaml.safe_dump(document)), environment)
    assert config.events.audience == documents.function_url(PORT_NUMBERS, "on_build_complete")
    assert config.hub.token.reveal() == access.secrets["hub-service"]


def test_the_functions_take_detours_and_nobody_else_does(state: StateFolder) -> None:
    via = {name: 30_000 + number for number, name in enumerate(DETOURS)}
    config = documents.functions_config(PORT_NUMBERS, state=state.path, network={}, via=via)
    access = prepare(state, PORT_NUMBERS, via)
    servers = {
        user: yaml.safe_load(file.read_text())["clusters"][0]["cluster"]["server"]
        for user, file in access.kubeconfigs.items()
    }
    (job,) = documents.schedule(PORT_NUMBERS, via)["jobs"]
    assert {user for user, url in servers.items() if url.endswith(f":{via['kube']}")} == {"functions", "watch-builds"}
    assert config["hub"]["api_url"] == f"http://127.0.0.1:{via['hub_api']}/hub/api"
    assert config["registry"]["url"] == f"http://127.0.0.1:{via['registry']}"
    assert config["events"]["endpoint"] == f"127.0.0.1:{via['pubsub']}"
    assert config["events"]["certs_url"].startswith(f"http://127.0.0.1:{via['cloud']}/")
    assert job["uri"] == f"http://127.0.0.1:{via['cull']}/"
    assert job["audience"] == config["scheduler"]["audience"] == documents.function_url(PORT_NUMBERS, "cull")
    assert config["registry"]["image_prefix"].startswith(documents.registry(PORT_NUMBERS))


def test_a_person_may_choose_settings_of_the_functions_but_not_where_the_stack_is() -> None:
    environ = {"BINDERLESS_CULL__IDLE_S": "5", "BINDERLESS_HUB__URL": "x", "BINDERLESS_HUB__TOKEN": "x", "HOME": "/"}
    config = {"hub": {"url": "http://localhost/"}}
    chosen = documents.chosen_settings(environ, config, {"BINDERLESS_HUB__TOKEN": "own"})
    assert chosen == {"BINDERLESS_CULL__IDLE_S": "5"}


def test_no_secret_is_in_the_configuration_file(state: StateFolder, access: Access) -> None:
    document = json.dumps(documents.functions_config(PORT_NUMBERS, state=state.path, network={}))
    assert not [name for name, secret in access.secrets.items() if secret in document]


def test_servers_are_on_another_hostname_than_the_functions() -> None:
    assert documents.public_url(PORT_NUMBERS).startswith("http://127.0.0.1:")
    assert documents.hub_url(PORT_NUMBERS).startswith("http://localhost:")


def test_the_runtime_takes_its_configuration(state: StateFolder, access: Access) -> None:
    document = documents.run_config(
        PORT_NUMBERS,
        root=ROOT,
        state=state.path,
        python=Path("/usr/bin/python3"),
        token_file=access.run_admin_token_file,
        environment=documents.functions_environment(access, user="functions"),
    )
    config = run_configuration.parse(document, folder=state.path)
    assert set(config.functions) == {"pages", "build", "on_build_complete", "cull", "webhook"}
    assert config.functions["on_build_complete"].port == PORT_NUMBERS["on_build_complete"]


def test_the_scheduler_calls_the_cull_every_minute() -> None:
    (job,) = schedule.parse(documents.schedule(PORT_NUMBERS))
    assert job.uri == f"http://127.0.0.1:{PORT_NUMBERS['cull']}/"
    assert job.next_run(60.0) == 120.0


def test_the_cloud_takes_its_credentials(access: Access) -> None:
    taken = credentials.read(access.cloud_credentials)
    assert {name for name, user in taken.registry.items() if user.push} == {"stack", "builder"}


def test_only_ended_builds_wake_the_function() -> None:
    text = subscription("http://127.0.0.1:1/", "http://127.0.0.1:1/")["filter"]
    wakes = parse(text)
    assert len(text.encode()) <= MAX_BYTES
    assert [status for status in ("QUEUED", "WORKING", *TERMINAL) if wakes({"status": status})] == [*TERMINAL]


def test_every_part_has_its_own_token_for_the_cluster(access: Access) -> None:
    with access.token_file.open() as file:
        users = {user: token for token, user, _, _ in csv.reader(file)}
    assert set(users) == set(CLUSTER_USERS)
    assert len(set(users.values())) == len(users)
    for user, kubeconfig in access.kubeconfigs.items():
        assert yaml.safe_load(kubeconfig.read_text())["users"][0]["user"]["token"] == users[user]


def test_secrets_are_made_once_and_only_their_owner_can_read_them(state: StateFolder, access: Access) -> None:
    assert prepare(state, PORT_NUMBERS).secrets == access.secrets
    files = [*(state.path / "secrets").iterdir(), state.path / "kubeconfig"]
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert stat.S_IMODE((state.path / "secrets").stat().st_mode) == 0o700


def test_builds_learn_how_to_push_from_a_secret_only(state: StateFolder) -> None:
    (container,) = documents.pod_template(state.path, {})["spec"]["containers"]
    by_name = {variable["name"]: variable for variable in container["env"]}
    assert by_name["CONTAINER_ENGINE_REGISTRY_CREDENTIALS"]["valueFrom"]["secretKeyRef"]["name"] == "registry-push"


def test_two_stacks_have_pods_at_different_addresses() -> None:
    networks = {documents.pod_network({"kubelet": port}) for port in FREE_PORTS}
    assert len(networks) == len(FREE_PORTS)
    assert all(ipaddress.ip_network(network).is_loopback for network in networks)


def test_parts_see_nothing_else_of_the_environment() -> None:
    environ = {
        "HOME": "/home/a",
        "PATH": "/bin",
        "AWS_SECRET_ACCESS_KEY": "x",
        "PYTHONPATH": "/evil",
        "KUBECONFIG": "/prod",
        "BINDERLESS_HUB__TOKEN": "x",
        "https_proxy": "http://proxy",
    }
    seen = part_environment(environ)
    assert set(seen) == {"HOME", "PATH", "PYTHONUNBUFFERED", "https_proxy"}
    assert network_variables(environ) == {"https_proxy": "http://proxy"}


def test_a_build_may_push_images_and_environments_and_not_replace_the_builder(access: Access) -> None:
    users = credentials.read(access.cloud_credentials).registry
    registry = RegistryAccess(users)
    for repository in ("binder-owner-name-abc", "binderless/environments"):
        registry.check_push("builder", repository)
    assert (BUILDER, SHELL) == (documents.BUILDER_REPOSITORY, documents.SHELL_REPOSITORY)
    for repository in (BUILDER, SHELL, "binderless/environments-2"):
        with pytest.raises(RegistryError):
            registry.check_push("builder", repository)
        registry.check_push("stack", repository)


def test_the_emulator_of_cloud_build_takes_its_settings(state: StateFolder, access: Access, tmp_path: Path) -> None:
    written = cloud_build.emulator_settings(PORT_NUMBERS, access=access, state=state.path, network={"NO_PROXY": "$x"})
    file = tmp_path / "builds.yaml"
    file.write_text(yaml.safe_dump(written))
    taken = build_settings.read(file)
    assert taken.token == access.secrets["cloud-build"]
    assert {volume["name"] for volume in taken.pod["volumes"]} == {mount["name"] for mount in taken.pod["volumeMounts"]}


def test_the_functions_enter_the_registry_as_their_machine(access: Access) -> None:
    secrets = cloud_build.functions_environment(
        documents.functions_environment(access, user="functions"), PORT_NUMBERS, access
    )
    assert "BINDERLESS_REGISTRY__PASSWORD" not in secrets
    machine = secrets["BINDERLESS_REGISTRY__METADATA_URL"].rpartition("/")[2]
    user = credentials.read(access.cloud_credentials).machines[machine]
    assert not credentials.read(access.cloud_credentials).registry[user].push


def test_no_secret_is_in_the_configuration_for_cloud_build(state: StateFolder, access: Access) -> None:
    base = documents.functions_config(PORT_NUMBERS, state=state.path, network={})
    document = json.dumps(cloud_build.functions_config(base, PORT_NUMBERS))
    assert not [name for name, secret in access.secrets.items() if secret in document]


def test_the_backend_of_builds_is_remembered(state: StateFolder) -> None:
    assert state.backend() == "kubernetes"
    assert state.backend("cloud_build") == state.backend() == StateFolder(state.path).backend() == "cloud_build"


def test_the_functions_take_their_configuration_for_cloud_build(state: StateFolder, access: Access) -> None:
    base = documents.functions_config(PORT_NUMBERS, state=state.path, network={})
    document = cloud_build.functions_config(base, PORT_NUMBERS)
    secrets = documents.functions_environment(access, user="functions")
    config, _ = configuration.load(document, cloud_build.functions_environment(secrets, PORT_NUMBERS, access))
    assert config.builds.backend == "cloud_build"
    assert config.cloud_build.token.reveal() == access.secrets["cloud-build"]
