"""The only place where adapters are made: configuration in, `World` out. Warm instances reuse theirs."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from functions.adapters.addresses import PublicPool
from functions.adapters.builds.cloud_build import CloudBuilds
from functions.adapters.builds.cloud_build_api import CloudBuildApi
from functions.adapters.builds.cloud_build_request import BuildOrder
from functions.adapters.builds.job import JobSettings
from functions.adapters.builds.jobs_api import JobsApi
from functions.adapters.builds.kubernetes import KubernetesBuilds
from functions.adapters.http import ONCE, HttpClient
from functions.adapters.identity import TokenVerifier
from functions.adapters.jupyterhub import JupyterHub
from functions.adapters.kernels import ServerKernels
from functions.adapters.providers.ckan import Ckan
from functions.adapters.providers.dataverse import Dataverse
from functions.adapters.providers.dois import Dois
from functions.adapters.providers.figshare import Figshare
from functions.adapters.providers.gist import Gist
from functions.adapters.providers.git import Git
from functions.adapters.providers.github import GitHub, github_api
from functions.adapters.providers.gitlab import GitLab
from functions.adapters.providers.hydroshare import HydroShare
from functions.adapters.providers.zenodo import Zenodo
from functions.adapters.pubsub import PubSubPublisher
from functions.adapters.registry import OCIRegistry, api_url
from functions.adapters.registry_login import Account, GoogleAccount, PasswordAccount, is_googles
from functions.adapters.stores.firestore import FirestoreStore
from functions.adapters.stores.sqlite import SQLiteStore
from functions.adapters.user_pods import UserPods
from functions.core import config as configuration
from functions.core.cloud_build import service_account_name
from functions.core.ports import BuildBackend, RepoProvider, Store
from functions.core.settings import Config, FirestoreSettings, RegistrySettings, StoreSettings
from functions.launching.feeds import Feeds
from functions.launching.refs import Refs
from functions.launching.stream import look_at_build
from functions.state import records
from functions.state.hub_gate import HubGate
from functions.state.limits import KnownLimits
from functions.state.once import once
from functions.state.places import KnownPlaces
from functions.state.rates import Rates
from functions.state.retention import image_until
from functions.world import World

CONFIG_FILE = Path(__file__).parent.parent / "config.yaml"


class SystemClock:
    """The real time."""

    def now(self) -> float:
        return time.time()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


@once
def world() -> World:
    """The world of this instance, from config.yaml beside main.py (or BINDERLESS_CONFIG) and the environment."""
    path = Path(os.environ.get("BINDERLESS_CONFIG") or CONFIG_FILE)
    document = configuration.parse(path.read_text()) if path.exists() else {}
    config, _ = configuration.load(document, os.environ)
    return make_world(config)


def make_world(config: Config) -> World:
    """The world that *config* describes. Nothing is connected to before it is used."""
    store = _store(config.store, config.firestore)
    launches = records.launches(store)
    limits = KnownLimits(store, time.monotonic)
    gone_s = config.launches.watcher_gone_s
    places = KnownPlaces(launches, limits.now, time.monotonic, now=time.time, watcher_gone_s=gone_s)
    made = World(
        config=config,
        providers=_providers(config),
        registry=_registry(config),
        backend=_backend(config),
        hub=_hub(config),
        # What does not answer is asked again by the next round; and a stranger's server may answer for ever.
        kernels=ServerKernels(
            HttpClient(
                "The notebook server", timeout_s=5, retry=ONCE, pool=PublicPool(allow_private=True, deadline_s=10)
            )
        ),
        store=store,
        builds=records.builds(store, image_until=partial(image_until, keep_s=config.cull.image_keep_s)),
        launches=launches,
        limits=limits,
        places=places,
        gate=HubGate(places, time.monotonic, now=time.time, sleep=time.sleep),
        rates=Rates(store, time.time, secret=config.launches.secret.reveal()),
        refs=Refs(store, time.time, ttl_s=config.providers.ref_ttl_s, keep_s=config.providers.ref_keep_s),
        feeds=Feeds(
            look=lambda image, attempt, cursor: look_at_build(made, image, attempt, cursor), monotonic=time.monotonic
        ),
        clock=SystemClock(),
        new_id=partial(secrets.token_hex, 16),
        new_token=partial(secrets.token_urlsafe, 16),
        push_verifier=_verifier(config, config.events.audience, config.events.service_account),
        scheduler_verifier=_verifier(config, config.scheduler.audience, config.scheduler.service_account),
        pods=_pods(config),
    )
    return made


def known_limits(store: StoreSettings, firestore: FirestoreSettings) -> KnownLimits:
    """What the operator permits, for who needs nothing else of the world."""
    return KnownLimits(_store(store, firestore), time.monotonic)


def _store(store: StoreSettings, firestore: FirestoreSettings) -> Store:
    if store.backend == "sqlite":
        return SQLiteStore(Path(store.path))
    return FirestoreStore(project=firestore.project, database=firestore.database, endpoint=firestore.endpoint)


def _backend(config: Config) -> BuildBackend:
    if config.builds.backend == "kubernetes":
        return KubernetesBuilds(jobs(config), _job_settings(config))
    cloud = config.cloud_build
    api = CloudBuildApi(
        project=cloud.project,
        region=cloud.region,
        endpoint=cloud.endpoint,
        storage_endpoint=cloud.storage_endpoint,
        token=cloud.token.reveal(),
    )
    return CloudBuilds(api, _build_order(config))


def _build_order(config: Config) -> BuildOrder:
    builds, cloud = config.builds, config.cloud_build
    return BuildOrder(
        image=builds.image,
        service_account=service_account_name(cloud.project, cloud.service_account),
        log_bucket=cloud.log_bucket,
        timeout_s=builds.timeout_s,
        queue_ttl_s=cloud.queue_ttl_s,
        machine_type=cloud.machine_type,
        private_pool=cloud.private_pool,
        extra_args=builds.extra_args,
    )


def jobs(config: Config) -> JobsApi:
    """The build jobs of the cluster that KUBECONFIG names, or that this process runs in."""
    return JobsApi(namespace=config.builds.namespace)


def _pods(config: Config) -> UserPods | None:
    """The pods of users' servers, where the operator has said which they are."""
    namespace = config.cull.pods_namespace
    return UserPods(JobsApi(namespace=namespace)) if namespace else None


def publisher(config: Config) -> PubSubPublisher:
    """Where finished builds are announced."""
    events = config.events
    return PubSubPublisher(
        project=events.project, topic=events.topic, endpoint=events.endpoint, token=events.token.reveal()
    )


def _providers(config: Config) -> Mapping[str, RepoProvider]:
    git, github, providers = config.git, config.github, config.providers
    pool = PublicPool(allow_private=providers.allow_private_addresses, allow_http=providers.allow_http)
    dois = Dois(providers.doi_url, pool=pool, allow_http=providers.allow_http)
    git, github, gitlab, providers = config.git, config.github, config.gitlab, config.providers
    api = github_api(url=github.api_url, token=github.token.reveal())
    makers: dict[str, Callable[[], RepoProvider]] = {
        "gh": lambda: GitHub(url=github.url, api=api),
        "gist": lambda: Gist(url=github.gist_url, api=api, allow_secret=github.allow_secret_gists),
        "gl": lambda: GitLab(url=gitlab.url, token=gitlab.token.reveal()),
        "git": lambda: Git(
            allow_http=providers.allow_http,
            allow_private_addresses=providers.allow_private_addresses,
            file_folders=tuple(map(Path, git.file_folders)),
        ),
        "zenodo": lambda: Zenodo(dois, url=config.zenodo.url),
        "figshare": lambda: Figshare(dois, api_url=config.figshare.api_url, pool=pool),
        "hydroshare": lambda: HydroShare(url=config.hydroshare.url, pool=pool),
        "dataverse": lambda: Dataverse(dois, pool=pool),
        "ckan": lambda: Ckan(pool=pool, allow_http=providers.allow_http),
    }
    return {prefix: makers[prefix]() for prefix in providers.enabled if prefix in makers}


def _registry(config: Config) -> OCIRegistry:
    registry = config.registry
    return OCIRegistry(
        HttpClient("The registry", api_url(registry.url)),
        account=registry_account(registry),
        missing_on_401=registry.missing_on_401,
    )


def registry_account(registry: RegistrySettings) -> Account:
    """Who we are to the registry."""
    auto = registry.credentials == "auto" and not registry.username and is_googles(registry.url)
    if auto or registry.credentials == "google":
        return GoogleAccount(HttpClient("The metadata server", registry.metadata_url), clock=time.monotonic)
    return PasswordAccount(registry.username, registry.password.reveal())


def _job_settings(config: Config) -> JobSettings:
    builds = config.builds
    return JobSettings(
        image=builds.image, timeout_s=builds.timeout_s, extra_args=builds.extra_args, template=builds.pod_template
    )


def _hub(config: Config) -> JupyterHub:
    headers = {"Authorization": f"token {config.hub.token.reveal()}"}
    # The Hub waits up to 10 s for a server to start or stop before it answers.
    client = HttpClient("JupyterHub", config.hub.api_url, headers=headers, timeout_s=30)
    return JupyterHub(client, url=config.hub.url)


def _verifier(config: Config, audience: str, service_account: str) -> TokenVerifier:
    return TokenVerifier(
        HttpClient("The identity service"),
        certs_url=config.events.certs_url,
        audience=audience,
        service_account=service_account,
    )
