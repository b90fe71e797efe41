"""Everything that can go wrong, as classes that know their HTTP status and whether trying again helps.

    BinderError
    ├─ InvalidSpec            400   the link names no repository, or no such provider
    ├─ BadRequest             400   a request that no client of ours would send
    ├─ BadSignature           401   a caller that could not prove who it is
    ├─ NotAllowed             403   the operator does not permit this
    ├─ RepoNotFound           404   no such repository or dataset, or a private one
    ├─ NotFound               404   nothing of ours is at this address, or no longer
    ├─ RefNotFound            404   the repository has no such branch, tag or commit
    ├─ MethodNotAllowed       405   a method that the address does not have
    ├─ BuildFailed            422   repo2docker could not build the repository
    ├─ QuotaExceeded          429   too many servers
    ├─ RateExceeded           429   one sender asks too often
    ├─ ConfigError            500   carries every problem of a configuration
    ├─ LaunchFailed           502   the Hub could not start the server
    └─ UpstreamError          502   a service answered badly; trying again helps
       ├─ UpstreamTimeout     504   a service did not answer
       └─ RateLimited         503   a service asks for patience

`str(error)` is a sentence for the person who clicked. Only `functions/edge.py` turns an error into an answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Self


class BinderError(Exception):
    """Root of all expected failures."""

    status: ClassVar[int] = 500
    retry: ClassVar[bool] = False

    def again(self) -> Self:
        """The same error without its traceback: to be kept, or to be raised in another thread."""
        same = type(self).__new__(type(self), *self.args)
        same.__dict__.update(self.__dict__)
        return same


class InvalidSpec(BinderError):
    status = 400


class BadRequest(BinderError):
    status = 400


class BadSignature(BinderError):
    status = 401


class NotAllowed(BinderError):
    status = 403


class RepoNotFound(BinderError):
    """Also raised for a private repository: hosts do not tell the difference to strangers. *reason* is the sentence for
    what is no git repository, such as a DOI."""

    status = 404

    def __init__(self, repo_url: str, reason: str = "") -> None:
        self.repo_url = repo_url
        public = f"There is no public repository at {repo_url}. Check the address, and that it is not private."
        super().__init__(reason or public)


class NotFound(BinderError):
    status = 404


class RefNotFound(BinderError):
    status = 404

    def __init__(self, repo_url: str, ref: str, *, default_branch: str | None = None, hint: str = "") -> None:
        self.repo_url, self.ref, self.default_branch = repo_url, ref, default_branch
        branch = f"Its default branch is {default_branch}; HEAD always names it." if default_branch else ""
        super().__init__(" ".join(filter(None, [f"{repo_url} has no branch, tag or commit {ref}.", branch, hint])))


class MethodNotAllowed(BinderError):
    status = 405


class BuildFailed(BinderError):
    status = 422


class QuotaExceeded(BinderError):
    status = 429


class RateExceeded(BinderError):
    """After *retry_after_s* whole seconds the same request passes; *limit* requests may be made in a period, which ends
    at *resets_at*."""

    status = 429

    def __init__(self, *, retry_after_s: int, limit: int, resets_at: int) -> None:
        self.retry_after_s, self.limit, self.resets_at = retry_after_s, limit, resets_at
        super().__init__(f"Rate limit exceeded. Try again in {retry_after_s} seconds.")


class ConfigError(BinderError):
    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(problems))


class LaunchFailed(BinderError):
    status = 502


class UpstreamError(BinderError):
    """*service* is a name people know ("GitHub", "JupyterHub"); *detail* completes "<service> ..."."""

    status = 502
    retry = True

    def __init__(self, service: str, detail: str) -> None:
        self.service, self.detail = service, detail
        super().__init__(f"{service} {detail}")


class UpstreamTimeout(UpstreamError):
    status = 504


class RateLimited(UpstreamError):
    status = 503

    def __init__(self, service: str, *, retry_after_s: float) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(service, f"asks us to wait {retry_after_s:.0f} seconds.")
