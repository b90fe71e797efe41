"""What is deployed, from the plans of the examples."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from functions.core.config import every_setting, load_store, parse
from tests.terraform.plans import Plan
from tests.terraform.workbench import Workbench

PlanOf = Callable[[str], Plan]
EXAMPLES = ("minimal", "complete", "existing_hub")
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_function_accepts_its_environment(example: str, plan_of: PlanOf, bench: Workbench) -> None:
    plan = plan_of(example)
    for function in plan.resources("google_cloudfunctions2_function"):
        environment = plan.environment(function) | {"PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "functions", "config"]
        done = subprocess.run(
            command, cwd=bench.root, env=environment, capture_output=True, text=True, check=False, timeout=60
        )
        assert (done.returncode, done.stderr) == (0, ""), function
        assert "cloud_build" in done.stdout


@pytest.mark.parametrize("example", EXAMPLES)
def test_a_function_has_a_thread_for_each_request(example: str, plan_of: PlanOf) -> None:
    for function in plan_of(example).resources("google_cloudfunctions2_function").values():
        service = function["service_config"][0]
        assert service["environment_variables"]["THREADS"] == str(service["max_instance_request_concurrency"]) == "250"
        # More than one request at a time needs a whole processor.
        assert service["available_cpu"] == "1"


@pytest.mark.parametrize("example", EXAMPLES)
def test_secrets_are_named_with_their_version_and_never_in_the_environment(example: str, plan_of: PlanOf) -> None:
    secret = {item.variable for item in every_setting() if item.type.__name__ == "Secret"}
    for function in plan_of(example).resources("google_cloudfunctions2_function").values():
        service = function["service_config"][0]
        assert secret.isdisjoint(service["environment_variables"])
        for reference in service["secret_environment_variables"]:
            assert reference["key"] in secret
            # Not told in the plan before the version is there, and then a number.
            assert reference.get("version", "1").isdecimal()


def test_a_secret_that_is_replaced_is_disabled_and_not_destroyed(plan_of: PlanOf) -> None:
    versions = plan_of("complete").resources("google_secret_manager_secret_version")
    assert {it["deletion_policy"] for it in versions.values()} == {"DISABLE"}


def test_only_functions_that_call_the_hub_are_in_the_network(plan_of: PlanOf) -> None:
    functions = plan_of("complete").resources("google_cloudfunctions2_function")
    inside = {name: it["service_config"][0].get("direct_vpc_egress") for name, it in functions.items()}
    only_private = "VPC_EGRESS_PRIVATE_RANGES_ONLY"
    assert {name for name, egress in inside.items() if egress == only_private} == {"build", "cull", "on_build_complete"}


def test_in_the_network_the_functions_reach_the_port_of_the_hub_and_nothing_else(plan_of: PlanOf) -> None:
    found = plan_of("complete").document["planned_values"]["root_module"]["resources"]
    walls = {it["name"]: it["values"] for it in found if it["type"] == "google_compute_firewall"}
    opened, closed = walls["functions_to_hub"], walls["functions_to_nothing_else"]
    assert [(it["protocol"], it["ports"]) for it in opened["allow"]] == [("tcp", ["8081"])]
    assert [it["protocol"] for it in closed["deny"]] == ["all"]
    assert closed["destination_ranges"] == ["0.0.0.0/0"]
    assert opened["direction"] == closed["direction"] == "EGRESS"
    assert opened["priority"] < closed["priority"]
    assert opened["target_tags"] == closed["target_tags"] == ["binderless-functions"]


def test_events_and_schedule_come_from_inside_alone(plan_of: PlanOf) -> None:
    functions = plan_of("minimal").resources("google_cloudfunctions2_function")
    for name in ("on_build_complete", "cull"):
        assert functions[name]["service_config"][0]["ingress_settings"] == "ALLOW_INTERNAL_ONLY"


def test_a_finished_build_is_pushed_again_until_it_is_a_dead_letter(plan_of: PlanOf) -> None:
    pushed = plan_of("complete").resources("google_pubsub_subscription")["build_complete"]
    assert pushed["ack_deadline_seconds"] == 600
    assert pushed["expiration_policy"] == [{"ttl": ""}]
    assert pushed["dead_letter_policy"][0]["max_delivery_attempts"] == 20
    account = pushed["push_config"][0]["oidc_token"][0]
    environment = plan_of("complete").environment("on_build_complete")
    assert account["audience"] == environment["BINDERLESS_EVENTS__AUDIENCE"]
    assert account["service_account_email"] == environment["BINDERLESS_EVENTS__SERVICE_ACCOUNT"]


@pytest.mark.parametrize("job", ["cull", "cull-dry-run"])
def test_the_scheduler_calls_as_cull_expects_it(job: str, plan_of: PlanOf) -> None:
    account = plan_of("complete").resources("google_cloud_scheduler_job")[job]["http_target"][0]["oidc_token"][0]
    environment = plan_of("complete").environment("cull")
    assert account["audience"] == environment["BINDERLESS_SCHEDULER__AUDIENCE"]
    assert account["service_account_email"] == environment["BINDERLESS_SCHEDULER__SERVICE_ACCOUNT"]


def test_the_database_indexes_what_is_queried(plan_of: PlanOf) -> None:
    fields = plan_of("complete").resources("google_firestore_field")
    declared = yaml.safe_load((ROOT / "terraform" / "firestore.yaml").read_text())["collections"]
    indexed = {key for key, it in fields.items() if it["index_config"][0]["indexes"]}
    assert indexed == {f"{name}.{field}" for name, it in declared.items() for field in it["indexed"]}
    expiring = {key for key, it in fields.items() if it.get("ttl_config")}
    assert expiring == {f"{name}.{it['ttl']}" for name, it in declared.items() if it["ttl"]}


def test_the_load_balancer_has_the_paths_of_the_local_gateway(plan_of: PlanOf) -> None:
    rules = plan_of("complete").document["planned_values"]["root_module"]["resources"]
    matcher = next(it for it in rules if it["type"] == "google_compute_url_map" and it["name"] == "site")
    paths = {path for rule in matcher["values"]["path_matcher"][0]["path_rule"] for path in rule["paths"]}
    gateway = yaml.safe_load((ROOT / "terraform" / "url_map.yaml").read_text())
    wanted = {path for some in gateway["paths"].values() for path in some}
    assert wanted <= paths
    assert paths - wanted == {"/assets", "/assets/*"} | {path[:-2] for path in wanted if path.endswith("/*")}


def test_the_page_of_limits_tells_where_the_store_is(plan_of: PlanOf) -> None:
    told = re.findall(r"(BINDERLESS_\w+)=(\w+)", (ROOT / "docs" / "limits.md").read_text())
    environ = {name: value.replace("PROJECT", "my-project") for name, value in told}
    assert environ.items() <= plan_of("minimal").environment("build").items()
    store, firestore = load_store(parse((ROOT / "terraform" / "tests" / "config.yaml").read_text()), environ)
    assert (store.backend, firestore.project, firestore.database) == ("firestore", "my-project", "binderless")


def test_the_page_of_operating_names_secrets_and_jobs_that_there_are(plan_of: PlanOf) -> None:
    page = (ROOT / "docs" / "operating.md").read_text()
    secrets = plan_of("minimal").resources("google_secret_manager_secret").values()
    assert set(re.findall(r"--secret=([\w-]+)", page)) <= {it["secret_id"] for it in secrets}
    jobs = plan_of("minimal").resources("google_cloud_scheduler_job").values()
    assert set(re.findall(r"scheduler jobs run (\S+)", page)) <= {it["name"] for it in jobs}
