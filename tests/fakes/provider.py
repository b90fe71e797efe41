"""A RepoProvider that knows the repositories of a test."""

from __future__ import annotations

from typing import Any

from functions.core.errors import BinderError, RepoNotFound
from functions.core.ports import ResolvedRepo


class FakeProvider:
    """Resolves the specs given by `know`; `asked` is every spec that was to be resolved."""

    def __init__(self, prefix: str = "gh") -> None:
        self.prefix = prefix
        self.asked: list[str] = []
        self._answers: dict[str, ResolvedRepo | BinderError] = {}

    def know(self, spec: str, sha: str = "c0ffee" * 6 + "c0ff") -> ResolvedRepo:
        """Let *spec* (`owner/name/ref`) be a repository at *sha*."""
        name = spec.rpartition("/")[0]
        repo = ResolvedRepo(
            provider=self.prefix,
            spec=spec,
            repo_url=f"https://git.example.org/{name}",
            sha=sha,
            slug=name.replace("/", "-"),
            resolved_spec=f"{name}/{sha}",
            ref_url=f"https://git.example.org/{name}/tree/{sha}",
        )
        self.answer(repo)
        return repo

    def answer(self, repo: ResolvedRepo) -> None:
        """Let the spec of *repo* be just that."""
        self._answers[repo.spec] = repo

    def fail(self, spec: str, error: BinderError) -> None:
        """Let *spec* raise *error*."""
        self._answers[spec] = error

    def display_config(self) -> dict[str, Any]:
        return {
            "displayName": "Fake",
            "id": self.prefix,
            "spec": {"validateRegex": "[^/]+/[^/]+/.+"},
            "detect": {"regex": "^(https?://git.example.org/)?(?<repo>.*)"},
            "repo": {"label": "Repository", "placeholder": "owner/name"},
            "ref": {"enabled": True, "default": "HEAD"},
        }

    def resolve(self, spec: str, known: ResolvedRepo | None = None) -> ResolvedRepo:
        self.asked.append(spec)
        answer = self._answers.get(spec) or RepoNotFound(f"https://git.example.org/{spec}")
        if isinstance(answer, BinderError):
            raise answer
        return answer
