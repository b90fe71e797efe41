"""Who may do what in Google Cloud, from the plan of the largest example."""

from __future__ import annotations

from collections.abc import Callable

from tests.terraform.plans import Grant, Plan

PlanOf = Callable[[str], Plan]

EXPECTED = {
    # Everybody comes in through three functions; two are called by one account each.
    Grant("cloud_run_service", "pages everybody", "run.invoker", "allUsers", False),
    Grant("cloud_run_service", "build everybody", "run.invoker", "allUsers", False),
    Grant("cloud_run_service", "webhook everybody", "run.invoker", "allUsers", False),
    Grant("cloud_run_service", "on_build_complete events", "run.invoker", "binderless-events", False),
    Grant("cloud_run_service", "cull scheduler", "run.invoker", "binderless-scheduler", False),
    # All keep records, in one database.
    Grant("project", "build records", "datastore.user", "bl-build", True),
    Grant("project", "cull records", "datastore.user", "bl-cull", True),
    Grant("project", "on_build_complete records", "datastore.user", "bl-on-build-complete", True),
    Grant("project", "pages records", "datastore.user", "bl-pages", True),
    Grant("project", "webhook records", "datastore.user", "bl-webhook", True),
    # Four begin builds and follow them, by a role of ours.
    Grant("project", "build", "roles of our own", "bl-build", False),
    Grant("project", "cull", "roles of our own", "bl-cull", False),
    Grant("project", "on_build_complete", "roles of our own", "bl-on-build-complete", False),
    Grant("project", "webhook", "roles of our own", "bl-webhook", False),
    Grant("service_account", "build", "iam.serviceAccountUser", "bl-build", False),
    Grant("service_account", "cull", "iam.serviceAccountUser", "bl-cull", False),
    Grant("service_account", "on_build_complete", "iam.serviceAccountUser", "bl-on-build-complete", False),
    Grant("service_account", "webhook", "iam.serviceAccountUser", "bl-webhook", False),
    Grant("storage_bucket", "build build_logs", "storage.objectViewer", "bl-build", False),
    Grant("storage_bucket", "cull build_logs", "storage.objectViewer", "bl-cull", False),
    Grant("storage_bucket", "on_build_complete build_logs", "storage.objectViewer", "bl-on-build-complete", False),
    Grant("storage_bucket", "webhook build_logs", "storage.objectViewer", "bl-webhook", False),
    Grant("artifact_registry_repository", "build images", "artifactregistry.reader", "bl-build", False),
    Grant("artifact_registry_repository", "cull images", "artifactregistry.reader", "bl-cull", False),
    Grant(
        "artifact_registry_repository",
        "on_build_complete images",
        "artifactregistry.reader",
        "bl-on-build-complete",
        False,
    ),
    Grant("artifact_registry_repository", "webhook images", "artifactregistry.reader", "bl-webhook", False),
    # Strangers' builds write images and logs; the functions' builds read the source, and write the functions' images.
    Grant("artifact_registry_repository", "builder images", "artifactregistry.writer", "binderless-builder", False),
    Grant("storage_bucket", "builder build_logs", "storage.objectUser", "binderless-builder", False),
    Grant("storage_bucket", "builder build_logs_bucket", "storage.legacyBucketReader", "binderless-builder", False),
    Grant(
        "artifact_registry_repository",
        "function_builder functions",
        "artifactregistry.writer",
        "binderless-function-builder",
        False,
    ),
    Grant("project", "function_builder logs", "logging.logWriter", "binderless-function-builder", False),
    Grant("project", "function_builder source", "storage.objectViewer", "binderless-function-builder", True),
    Grant("storage_bucket", "function_builder source", "storage.objectViewer", "binderless-function-builder", False),
    # Nodes pull images.
    Grant("artifact_registry_repository", "nodes images", "artifactregistry.reader", "binderless-nodes", False),
    Grant("project", "nodes", "container.defaultNodeServiceAccount", "binderless-nodes", False),
}
SECRETS = {
    "bl-build": {"hub_token", "launches_secret", "web_metrics_token", "web_operator_tokens"},
    "bl-cull": {"hub_token", "launches_secret"},
    "bl-on-build-complete": {"hub_token", "launches_secret"},
    "bl-pages": {"hub_token", "launches_secret"},
    "bl-webhook": {"hub_token", "launches_secret"},
}
BUILDING = [f"cloudbuild.builds.{verb}" for verb in ("create", "get", "list", "update")]
# What there is no narrower thing for than the project; see the comments in iam.tf.
ON_THE_PROJECT = {
    "roles of our own",
    "datastore.user",
    "logging.logWriter",
    "storage.objectViewer",
    "container.defaultNodeServiceAccount",
}
# Pub/Sub's own account, of which the plan does not know the number of the project.
AGENT = "service-"


def test_these_are_all_the_grants(plan_of: PlanOf) -> None:
    grants = {
        grant
        for grant in plan_of("complete").grants()
        if grant.kind != "secret_manager_secret" and not grant.member.startswith(AGENT)
    }
    assert grants == EXPECTED


def test_a_secret_is_read_by_those_who_need_it(plan_of: PlanOf) -> None:
    read: dict[str, set[str]] = {}
    for grant in plan_of("complete").grants():
        if grant.kind == "secret_manager_secret":
            assert grant.role == "secretmanager.secretAccessor"
            read.setdefault(grant.member, set()).add(grant.key.split()[1])
    assert read == SECRETS


def test_the_project_is_only_granted_where_nothing_narrower_is(plan_of: PlanOf) -> None:
    for grant in plan_of("complete").grants():
        if grant.kind == "project":
            assert grant.role in ON_THE_PROJECT
            assert grant.narrowed == (grant.role in ("datastore.user", "storage.objectViewer"))


def test_pubsub_may_sign_one_account_and_move_dead_letters(plan_of: PlanOf) -> None:
    grants = {(it.kind, it.role) for it in plan_of("complete").grants() if it.member.startswith(AGENT)}
    assert grants == {
        ("service_account", "iam.serviceAccountTokenCreator"),
        ("pubsub_topic", "pubsub.publisher"),
        ("pubsub_subscription", "pubsub.subscriber"),
    }


def test_the_role_of_our_own_is_four_permissions(plan_of: PlanOf) -> None:
    role = plan_of("minimal").resources("google_project_iam_custom_role")["building"]
    assert sorted(role["permissions"]) == BUILDING
    assert role["project"] == "my-project"


def test_with_a_private_pool_it_is_one_more(plan_of: PlanOf) -> None:
    role = plan_of("complete").resources("google_project_iam_custom_role")["building"]
    assert sorted(role["permissions"]) == [*BUILDING, "cloudbuild.workerpools.use"]
    assert role["project"] == "my-builds"


def test_nothing_is_granted_that_replaces_the_grants_of_others(plan_of: PlanOf) -> None:
    found = plan_of("complete").document["planned_values"]["root_module"]["resources"]
    assert [it["type"] for it in found if it["type"].endswith(("_iam_binding", "_iam_policy"))] == []


def test_every_function_runs_as_itself_and_is_built_by_another(plan_of: PlanOf) -> None:
    functions = plan_of("complete").resources("google_cloudfunctions2_function")
    accounts = {name: it["service_config"][0]["service_account_email"] for name, it in functions.items()}
    assert accounts == {
        name: f"bl-{name.replace('_', '-')}@my-project.iam.gserviceaccount.com"
        for name in ("pages", "build", "on_build_complete", "cull", "webhook")
    }
