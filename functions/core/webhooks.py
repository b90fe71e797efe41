"""Deliveries of git hosts: who sent them, and which push they tell of.

GitHub: https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries and
https://docs.github.com/en/webhooks/webhook-events-and-payloads#push (and #create)
GitLab: https://docs.gitlab.com/user/project/integrations/webhooks/ and
https://docs.gitlab.com/user/project/integrations/webhook_events/#push-events

Nothing of a delivery is read before its sender is known. What it says is still only a hint: which commit a branch or
tag names is asked of the host, so an old delivery that comes again, or one by somebody who knows the secret of another
repository, can make no branch name another commit.
"""

from __future__ import annotations

import fnmatch
import hashlib
import hmac
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import parse_qs, quote

from functions.core.errors import BadRequest, BadSignature, InvalidSpec, NotAllowed
from functions.core.forges import parse_github, parse_gitlab
from functions.core.settings import Secret, WebhookSettings
from functions.core.specs import is_sha, parse_git

MOST_BYTES = 5_000_000
JSON, FORM = "application/json", "application/x-www-form-urlencoded"
MOST_FIELDS = 10
BRANCHES, TAGS = "refs/heads/", "refs/tags/"
# What stands in the links of our form as it is: what encodeURI leaves, without ? and #.
UNESCAPED = "/;,:@&=+$!*'()"
SURROGATES = re.compile("[\ud800-\udfff]")
GITLAB_EVENTS = ("Push Hook", "Tag Push Hook")


@dataclass(frozen=True, slots=True, kw_only=True)
class Push:
    """A branch or tag was made or moved.

    `repository` is its path as the host spells it, `ref` the short name, `spec` what a launch link to it says, and
    `head_spec` the same for HEAD if that names this branch. `sha` is the commit of a branch; empty for a tag, since
    the host may name the tag's own object.
    """

    provider: str
    repository: str
    ref: str
    spec: str
    head_spec: str = ""
    sha: str = ""


@dataclass(frozen=True, slots=True)
class Ping:
    """A delivery that only asks whether somebody is there."""


@dataclass(frozen=True, slots=True)
class Ignored:
    """A delivery that asks for nothing; the reason goes back to the sender, who sees it in the list of deliveries."""

    reason: str


def secrets_of(setting: Secret) -> list[str]:
    """The secrets in a setting that separates them by commas."""
    return [secret.strip() for secret in setting.reveal().split(",") if secret.strip()]


def check_signature(body: bytes, signature: str | None, secrets: Sequence[str]) -> None:
    """Raise BadSignature unless *signature* (X-Hub-Signature-256) is one of *secrets*' over the raw body."""
    expected = [b"sha256=" + hmac.new(key.encode(), body, hashlib.sha256).hexdigest().encode() for key in secrets]
    if not _is_one_of((signature or "").encode(), expected):
        raise BadSignature("The delivery is not signed with a secret of this hub.")


def check_token(token: str | None, tokens: Sequence[str]) -> None:
    """Raise BadSignature unless *token* (X-Gitlab-Token) is one of *tokens*."""
    # Of the same length, whatever was sent: comparing must not tell how long a token is.
    expected = [hashlib.sha256(one.encode()).digest() for one in tokens]
    # WSGI hands the bytes of headers on as Latin-1 characters.
    given = hashlib.sha256((token or "").encode("latin-1", "replace")).digest()
    if not token or not _is_one_of(given, expected):
        raise BadSignature("The delivery has no token of this hub.")


def read_body(body: bytes, content_type: str) -> object:
    """What is in a delivery of one of the two types that GitHub offers; GitLab sends JSON. Raises BadRequest."""
    if content_type not in (JSON, FORM):
        raise BadRequest(f"A delivery is {JSON}. Choose that as the content type of the webhook.")
    try:
        if content_type == JSON:
            return json.loads(body)
        [payload] = parse_qs(body.decode(), max_num_fields=MOST_FIELDS).get("payload", [""])
        return json.loads(payload)
    except (ValueError, RecursionError) as error:
        raise BadRequest("The delivery is not JSON that can be read.") from error


def read_github(event: str, payload: object, forges: Sequence[str] = ()) -> Push | Ping | Ignored:
    """What a verified delivery of GitHub tells of. Raises BadRequest for what GitHub would not send.

    Gitea and Forgejo send the same. A repository whose clone address begins with one of *forges* is launched by that
    address, so its push is one of the provider `git`.
    """
    if event == "ping":
        return Ping()
    if event not in ("push", "create"):
        return _no_event(event)
    repository, ref = _text(payload, "repository", "full_name"), _text(payload, "ref")
    sha = _text(payload, "after") if event == "push" else ""
    if event == "create":
        if _text(payload, "ref_type") != "tag":
            return Ignored("A new branch is told of by its push, too.")
        ref = TAGS + ref
    default_branch = _at(payload, "repository", "default_branch")
    address = _address(_at(payload, "repository", "clone_url"), forges)
    if address:
        return _push("git", address, quote(address, safe=""), ref, sha=sha, default_branch=default_branch)
    return _push("gh", repository, quote(repository, safe="/"), ref, sha=sha, default_branch=default_branch)


def read_gitlab(event: str, payload: object, forges: Sequence[str] = ()) -> Push | Ping | Ignored:
    """What a verified delivery of GitLab tells of; *forges* as for `read_github`. Raises BadRequest for what GitLab
    would not send."""
    if event not in GITLAB_EVENTS:
        return _no_event(event)
    repository, ref, sha = (
        _text(payload, *path) for path in (("project", "path_with_namespace"), ("ref",), ("after",))
    )
    default_branch = _at(payload, "project", "default_branch")
    address = _address(_at(payload, "project", "git_http_url"), forges)
    if address:
        return _push("git", address, quote(address, safe=""), ref, sha=sha, default_branch=default_branch)
    return _push("gl", repository, quote(repository, safe=""), ref, sha=sha, default_branch=default_branch)


def refusal(push: Push, settings: WebhookSettings) -> Ignored | None:
    """Why the operator does not want *push* to be built; None when it may be. Upper and lower case are the same."""
    if not _fits(f"{push.provider}/{push.repository}", settings.repositories):
        return Ignored(f"{push.repository} is not among the repositories that may prebuild here.")
    if not _fits(push.ref, settings.refs):
        return Ignored(f"{push.ref} is not among the branches and tags that are prebuilt here.")
    return None


def _address(clone_url: object, forges: Sequence[str]) -> str:
    """*clone_url*, if the operator has said that repositories there are launched by their address."""
    return clone_url if isinstance(clone_url, str) and clone_url.startswith(tuple(forges)) else ""


def _push(
    provider: str, repository: str, stem: str, full_ref: str, *, sha: str, default_branch: object
) -> Push | Ignored:
    if _named(provider, f"{stem}/HEAD") != repository:
        raise BadRequest("The delivery names no repository.")
    is_branch = full_ref.startswith(BRANCHES)
    if not is_branch and not full_ref.startswith(TAGS):
        return Ignored("Only branches and tags are prebuilt.")
    if sha and not sha.strip("0"):
        return Ignored("It was deleted, so there is nothing to build.")
    if sha and not is_sha(sha):
        raise BadRequest("The delivery names no commit.")
    ref = full_ref.removeprefix(BRANCHES if is_branch else TAGS)
    spec = f"{stem}/{quote(ref, safe=UNESCAPED)}"
    if is_sha(ref) or _named(provider, spec) != repository:
        return Ignored("No launch link can name a branch or tag that is called so.")
    head_spec = f"{stem}/HEAD" if is_branch and ref == default_branch else ""
    return Push(
        provider=provider,
        repository=repository,
        ref=ref,
        spec=spec,
        head_spec=head_spec,
        sha=sha if is_branch else "",
    )


def _named(provider: str, spec: str) -> str | None:
    """The repository that *spec* names, if it names one."""
    try:
        if provider == "gl":
            return parse_gitlab(spec).project
        if provider == "git":
            # Whether http is permitted is for the provider to say, when the commit is asked for.
            return parse_git(spec, allow_http=True).url
        named = parse_github(spec)
    except (InvalidSpec, NotAllowed):
        return None
    return f"{named.owner}/{named.name}"


def _no_event(event: str) -> Ignored:
    return Ignored(f"Events of the kind {event[:100]!r} start no build.")


def _fits(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(name.lower(), pattern.lower()) for pattern in patterns)


def _is_one_of(given: bytes, expected: Sequence[bytes]) -> bool:
    # No early end: every secret is compared, in constant time.
    return sum(hmac.compare_digest(given, one) for one in expected) > 0


def _at(payload: object, *path: str) -> object:
    for name in path:
        payload = payload.get(name) if isinstance(payload, dict) else None
    return payload


def _text(payload: object, *path: str) -> str:
    text = _at(payload, *path)
    # JSON may hold halves of characters, which are no text either.
    if not isinstance(text, str) or SURROGATES.search(text):
        raise BadRequest(f"The delivery has no text at {'.'.join(path)}.")
    return text
