"""Specs of repositories on the git hosts that have a prefix of their own: GitHub (`gh`), its gists, GitLab (`gl`).

As in `functions.core.specs`, all of it comes from strangers and each part is decoded exactly once. What cannot be on
such a host raises InvalidSpec; where the person may have meant something else, the text says what.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from urllib.parse import quote

from functions.core.errors import InvalidSpec
from functions.core.specs import check_length, checked_ref, decoded

OWNER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,99}")
NAME = re.compile(r"[A-Za-z0-9._-]{1,100}")
GIST_ID = re.compile(r"[0-9A-Fa-f]{1,64}")
# https://docs.gitlab.com/user/reserved_names/: groups within groups, up to twenty, and the project.
GITLAB_PART = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_.-]{0,254}")
MAX_GITLAB_PARTS = 21
DOTS = (".", "..")
# A scheme and a host, or a user name: none of these hosts has owners called so.
ADDRESS = re.compile(r"[A-Za-z][A-Za-z+]*:/{0,2}[^/]*|[^/]*@")
USUAL_REFS = ("HEAD", "main", "master")
GITHUB_FORM, GIST_FORM, GITLAB_FORM = "user/repo/ref", "user/gist/ref", "group%2Fproject/ref"


@dataclass(frozen=True, slots=True)
class GitHubSpec:
    owner: str
    name: str
    ref: str


@dataclass(frozen=True, slots=True)
class GistSpec:
    """`ref` is HEAD when the link has none."""

    owner: str
    gist_id: str
    ref: str


@dataclass(frozen=True, slots=True)
class GitLabSpec:
    """`project` is its whole path (`group/subgroup/name`), `escaped_project` the same as the link has it."""

    project: str
    escaped_project: str
    ref: str


def parse_github(spec: str) -> GitHubSpec:
    """`owner/name/ref`, where the ref may hold slashes and the name may end in `.git`."""
    check_length(spec)
    _refuse_address(spec, GITHUB_FORM, _likely_github)
    parts = [decoded(part) for part in spec.rstrip("/").split("/", 2)]
    if len(parts) < 3 or not all(parts):
        raise _not_of_the_form(GITHUB_FORM, "/".join(parts), hint=_likely_github(parts))
    owner, name, ref = parts[0], parts[1].removesuffix(".git"), checked_ref(parts[2])
    if not OWNER.fullmatch(owner) or not NAME.fullmatch(name) or name in DOTS:
        raise InvalidSpec(f'"{parts[0]}/{parts[1]}" cannot be the name of a GitHub repository.')
    return GitHubSpec(owner, name, ref)


def parse_gist(spec: str) -> GistSpec:
    """`owner/gist id[/ref]`; what comes after that is ignored, as BinderHub does."""
    check_length(spec)
    _refuse_address(spec, GIST_FORM, _likely_github)
    parts = [decoded(part) for part in spec.rstrip("/").split("/")]
    if len(parts) < 2 or not all(parts[:2]):
        raise _not_of_the_form(GIST_FORM, "/".join(parts), hint=_likely_gist(parts[0]))
    owner, gist_id = parts[0], parts[1].removesuffix(".git")
    if not OWNER.fullmatch(owner) or not GIST_ID.fullmatch(gist_id):
        hint = _meant(_likely_gist(parts[0]))
        raise InvalidSpec(f'"{parts[0]}/{parts[1]}" cannot be a user and the id of a gist.{hint}')
    return GistSpec(owner, gist_id, checked_ref("/".join(parts[2:3]) or "HEAD"))


def parse_gitlab(spec: str) -> GitLabSpec:
    """`<percent-encoded path of the project>/ref`, where the path may end in `.git`."""
    check_length(spec)
    _refuse_address(spec, GITLAB_FORM, partial(_likely_gitlab, has_ref=False))
    escaped_project, slash, escaped_ref = spec.rstrip("/").partition("/")
    project = decoded(escaped_project).removesuffix(".git")
    parts = project.split("/")
    if not slash or len(parts) < 2:
        whole = decoded(spec.rstrip("/"))
        raise _not_of_the_form(GITLAB_FORM, whole, hint=_likely_gitlab(whole.split("/"), has_ref=bool(slash)))
    valid = all(GITLAB_PART.fullmatch(part) and part not in DOTS for part in parts)
    if not valid or len(parts) > MAX_GITLAB_PARTS:
        raise InvalidSpec(f'"{project}" cannot be the path of a GitLab project.')
    return GitLabSpec(project, escaped_project, checked_ref(decoded(escaped_ref)))


def _refuse_address(spec: str, form: str, likely: Callable[[list[str]], str]) -> None:
    """Refuse the address of a repository in the place of its name. It may hold a password, and is not repeated then."""
    whole = decoded(spec.rstrip("/"))
    if not (found := ADDRESS.match(whole)):
        return
    parts = whole[found.end() :].strip("/").split("/")
    hint = likely(parts) if "@" not in whole and all(parts) else ""
    raise InvalidSpec(f'Name the repository in the form "{form}", without the address of its host.{_meant(hint)}')


def _likely_github(parts: list[str]) -> str:
    """What was meant by `owner/name`, be it followed by a ref or not."""
    if len(parts) < 2 or not all(parts) or (len(parts) == 2 and parts[1] in USUAL_REFS):
        return ""
    return "/".join(parts if len(parts) > 2 else [*parts, "HEAD"])


def _likely_gist(owner: str) -> str:
    """What was meant by a gist's id without its owner."""
    return f"user/{owner}/HEAD" if GIST_ID.fullmatch(owner) else ""


def _likely_gitlab(parts: list[str], *, has_ref: bool) -> str:
    """What was meant by a spec whose slashes are not where they should be."""
    ref_is_last = parts[-1] in USUAL_REFS or (has_ref and len(parts) > 2)
    path, ref = (parts[:-1], parts[-1]) if ref_is_last else (parts, "HEAD")
    return f"{quote('/'.join(path), safe='')}/{quote(ref)}" if len(path) > 1 and all(path) else ""


def _not_of_the_form(form: str, provided: str, *, hint: str) -> InvalidSpec:
    return InvalidSpec(f'Spec is not of the form "{form}", provided: "{provided}".{_meant(hint)}')


def _meant(hint: str) -> str:
    return f' Did you mean "{hint}"?' if hint else ""
