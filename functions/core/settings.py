"""Every setting there is, with its meaning and default. `config.py` loads them; docs/configuration.md lists them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field
from typing import Any

# In BinderHub's order.
PROVIDERS = ("gh", "gist", "git", "gl", "zenodo", "figshare", "hydroshare", "dataverse", "ckan")


@dataclass(frozen=True, slots=True)
class Secret:
    """Text that is never printed; `reveal()` where it is used."""

    _value: str = field(default="", repr=False)

    def reveal(self) -> str:
        return self._value

    def __bool__(self) -> bool:
        return bool(self._value)

    def __repr__(self) -> str:
        return "Secret(***)" if self._value else "Secret()"


METADATA_URL = "http://metadata.google.internal"


def setting(help_text: str, default: Any = MISSING, *, choices: tuple[str, ...] = ()) -> Any:
    """A dataclass field that knows its meaning; one without a default is required."""
    metadata = {"help": help_text, "choices": choices}
    if isinstance(default, Mapping):
        return field(default_factory=lambda: default, metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, slots=True, kw_only=True)
class HubSettings:
    url: str = setting("Address of JupyterHub for people, with its base path.")
    api_url: str = setting("Address of the Hub's REST API as the functions reach it, ending in /hub/api.")
    token: Secret = setting("Token of the Hub service that may create users and start servers.")


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrySettings:
    url: str = setting("Address of the registry's API, such as https://europe-docker.pkg.dev.")
    image_prefix: str = setting("What every image name begins with, registry host included.")
    credentials: str = setting(
        "How to sign in for looking images up: basic (user name and password, or anonymous), google (the service "
        "account that the function runs as), auto (google at pkg.dev and gcr.io without a user name, else basic).",
        "auto",
        choices=("auto", "basic", "google"),
    )
    metadata_url: str = setting("Address of the metadata server that google asks.", METADATA_URL)
    username: str = setting("User name for looking images up; empty: anonymous.", "")
    password: Secret = setting("Password or token for looking images up.", Secret())
    missing_on_401: bool = setting(
        "Whether the registry answers 401 for images that do not exist, even to a token of its own.", False
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildSettings:
    backend: str = setting("Where repo2docker runs.", "kubernetes", choices=("kubernetes", "cloud_build"))
    image: str = setting("Image that holds repo2docker.", "quay.io/jupyterhub/repo2docker:2026.04.0")
    namespace: str = setting("Kubernetes namespace of the build jobs.", "binderless-builds")
    pod_template: Mapping[str, Any] = setting(
        "Parts of a Kubernetes pod template merged into every build job: volumes, node selector, resources.", {}
    )
    extra_args: tuple[str, ...] = setting("Further arguments for repo2docker.", ())
    appendix: str = setting(
        "Dockerfile lines for the end of every image; {binder_url} and {repo_url} are filled in.", ""
    )
    timeout_s: int = setting("Longest build, in seconds.", 3600)
    retry_pause_s: int = setting("How long a failed build of a commit is remembered before it may be tried again.", 60)
    cancel_deserted_s: int = setting(
        "After how long without a watcher launches end and the build that they wait for is cancelled; 0: never.",
        0,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudBuildSettings:
    project: str = setting("Google Cloud project of the builds.", "")
    region: str = setting("Region of the builds; that of the private pool, if there is one.", "global")
    service_account: str = setting("Who builds: e-mail address, or projects/<project>/serviceAccounts/<address>.", "")
    log_bucket: str = setting("Bucket of the builds' logs, without gs://.", "")
    machine_type: str = setting("Machine of a build, such as E2_HIGHCPU_8; empty: Cloud Build's default.", "")
    private_pool: str = setting("Private pool: projects/<p>/locations/<l>/workerPools/<name>; empty: none.", "")
    queue_ttl_s: int = setting("How long a build may wait for a machine.", 3600)
    endpoint: str = setting("Address of a Cloud Build that is not Google's, with scheme; empty: Google's.", "")
    storage_endpoint: str = setting("Address of a Cloud Storage likewise, for the logs; empty: Google's.", "")
    token: Secret = setting("Bearer token for endpoints that are not Google's.", Secret())


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSettings:
    backend: str = setting("Where builds and launches are remembered.", "sqlite", choices=("sqlite", "firestore"))
    path: str = setting("File of the sqlite store.", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class FirestoreSettings:
    project: str = setting("Google Cloud project of the database.", "")
    database: str = setting("Name of the database, which is in native mode.", "(default)")
    endpoint: str = setting("Address of a Firestore emulator, host:port; empty: Google's.", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class EventSettings:
    project: str = setting("Google Cloud project of the topic.", "")
    topic: str = setting("Topic on which finished builds are announced.", "cloud-builds")
    endpoint: str = setting("Address of Pub/Sub, host:port; empty: Google's.", "")
    token: Secret = setting("Bearer token for a Pub/Sub that is not Google's.", Secret())
    service_account: str = setting("Who signs the pushes to on_build_complete.", "")
    audience: str = setting("Audience of those signatures: the function's address.", "")
    certs_url: str = setting("Where the signer's certificates are.", "https://www.googleapis.com/oauth2/v1/certs")


@dataclass(frozen=True, slots=True, kw_only=True)
class SchedulerSettings:
    service_account: str = setting("Who signs the scheduler's calls to cull.", "")
    audience: str = setting("Audience of those signatures: the function's address.", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderSettings:
    enabled: tuple[str, ...] = setting("Which kinds of launch links work, in the order of the form.", PROVIDERS)
    ref_ttl_s: int = setting("How long a branch, tag or DOI is taken to name the same thing without asking again.", 60)
    ref_keep_s: int = setting("How long what it named last is remembered, for when its service is out.", 604800)
    allow_http: bool = setting("Whether what strangers name may be fetched without TLS.", False)
    allow_private_addresses: bool = setting("Whether it may be on private or loopback addresses.", False)
    doi_url: str = setting("Where DOIs are resolved.", "https://doi.org")


@dataclass(frozen=True, slots=True, kw_only=True)
class GitSettings:
    file_folders: tuple[str, ...] = setting(
        "Folders whose repositories may be launched as file://; none: none may.", ()
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class GitHubSettings:
    url: str = setting("Address of GitHub, or of a GitHub Enterprise server.", "https://github.com")
    gist_url: str = setting("Address of its gists.", "https://gist.github.com")
    api_url: str = setting("Address of its REST API.", "https://api.github.com")
    token: Secret = setting("Token for its REST API; short commit ids and gists need the API.", Secret())
    allow_secret_gists: bool = setting("Whether gists that are not listed publicly may be launched.", False)


@dataclass(frozen=True, slots=True, kw_only=True)
class GitLabSettings:
    url: str = setting("Address of GitLab, or of a GitLab of your own.", "https://gitlab.com")
    token: Secret = setting("Token for its REST API; only short commit ids need the API.", Secret())


@dataclass(frozen=True, slots=True, kw_only=True)
class ZenodoSettings:
    url: str = setting("Address of Zenodo.", "https://zenodo.org")


@dataclass(frozen=True, slots=True, kw_only=True)
class FigshareSettings:
    api_url: str = setting("Address of figshare's REST API.", "https://api.figshare.com")


@dataclass(frozen=True, slots=True, kw_only=True)
class HydroshareSettings:
    url: str = setting("Address of HydroShare.", "https://www.hydroshare.org")


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchSettings:
    secret: Secret = setting("Key of the resume cookie, at least 32 characters.")
    token_secrets: Secret = setting(
        "Keys of build tokens, separated by commas; the first signs; hexadecimal as BinderHub's; empty: from secret.",
        Secret(),
    )
    token_expires_s: int = setting("How long the build token of a page is good for.", 300)
    token_check_origin: bool = setting("Whether a build token is only good for the site that its page was on.", True)
    build_only: bool = setting("Whether an image may be asked for without a server.", False)
    watcher_gone_s: int = setting("After how long without a watcher a launch gets no server when its build ends.", 60)
    timeout_s: int = setting("How long a server may take to start.", 600)
    keep_s: int = setting("How long a finished launch can be resumed.", 3600)
    queue_length: int = setting(
        "How many launches may wait for a place when a quota is reached, of a repository and of all; 0: none, they are "
        "refused at once.",
        500,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CullSettings:
    idle_s: int = setting("How long a server may be idle before it is stopped.", 600)
    keep_busy: str = setting(
        "What keeps a server that is idle: kernels (one computes), connections (one computes, or a page is connected "
        "to it), nothing.",
        "kernels",
        choices=("kernels", "connections", "nothing"),
    )
    max_age_s: int = setting("How long a server may run; 0: as long as it is used.", 21600)
    uncollected_s: int = setting("How long a server waits for the person who launched it.", 300)
    orphan_s: int = setting(
        "How old a user without a server, or a pod without a user's server, must be before it is removed.", 600
    )
    limits: Mapping[str, Any] = setting(
        "Other idle_s and max_age_s for servers of some repositories, by patterns such as gh/my-org/*; the last that "
        "matches decides.",
        {},
    )
    image_keep_s: int = setting(
        "How long an image is kept in the registry after it was last launched; 0: for ever. At least a day, and longer "
        "than servers run.",
        0,
    )
    pods_namespace: str = setting(
        "Kubernetes namespace of one Hub's user pods, of which those without a server are deleted; empty: none are.", ""
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookSettings:
    github_secrets: Secret = setting(
        "Secrets of GitHub webhooks, separated by commas; none: webhooks refused.", Secret()
    )
    gitlab_tokens: Secret = setting(
        "Secret tokens of GitLab webhooks, separated by commas; none: webhooks refused.", Secret()
    )
    repositories: tuple[str, ...] = setting(
        "Which repositories may prebuild, as patterns such as gh/my-org/*; none: none may.", ()
    )
    forges: tuple[str, ...] = setting(
        "Hosts of one's own whose repositories are launched by the git provider: what their clone addresses begin "
        "with, such as https://git.example.org/.",
        (),
    )
    refs: tuple[str, ...] = setting("Which of their branches and tags, as patterns such as release-*.", ("*",))
    builds_per_day: int = setting(
        "How many builds the pushes of a repository may begin in a day (UTC); 0: any number.", 50
    )
    debounce_s: int = setting("How long after a build of a branch has begun the next one may begin.", 60)


@dataclass(frozen=True, slots=True, kw_only=True)
class WebSettings:
    badge_base_url: str = setting("Address in badges and links; empty: the address the visitor used.", "")
    proxies: int = setting("How many proxies in front of the functions add an address to X-Forwarded-For.", 1)
    version: str = setting("What /versions says of binderhub.", "binderless")
    builder_info: Mapping[str, Any] = setting("What /versions says of builder_info; empty: the build image.", {})
    base_path: str = setting("Path below which everything is, with slashes at both ends.", "/")
    api_only: bool = setting("Whether to serve the API without the pages.", False)
    cors_allow_origins: tuple[str, ...] = setting("Sites whose pages may use the API; * for all.", ())
    banner_html: str = setting("HTML at the top of every page.", "")
    about_html: str = setting("HTML of the operator's on the about page.", "")
    origin: str = setting("What the launch events call this hub; empty: the host that the visitor used.", "")
    metrics_token: Secret = setting(
        "Bearer token that /metrics asks for; empty: anybody may read it, names of repositories included.", Secret()
    )
    operator_tokens: Secret = setting(
        "Bearer tokens of the operator's API (/api/admin/limits), separated by commas, each of at least 32 characters; "
        "empty: there is no such API.",
        Secret(),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """All settings, a section an attribute. Made by `functions.core.config.load`."""

    hub: HubSettings
    registry: RegistrySettings
    builds: BuildSettings
    cloud_build: CloudBuildSettings
    store: StoreSettings
    firestore: FirestoreSettings
    events: EventSettings
    scheduler: SchedulerSettings
    providers: ProviderSettings
    git: GitSettings
    github: GitHubSettings
    gitlab: GitLabSettings
    zenodo: ZenodoSettings
    figshare: FigshareSettings
    hydroshare: HydroshareSettings
    launches: LaunchSettings
    cull: CullSettings
    webhooks: WebhookSettings
    web: WebSettings
