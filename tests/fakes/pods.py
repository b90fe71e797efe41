"""The pods of users' servers, as a list."""

from __future__ import annotations

from collections.abc import Sequence

from functions.core.user_pods import UserPod


class FakePods:
    """`deleted` are the names of pods that went; a page holds one pod."""

    def __init__(self, *pods: UserPod) -> None:
        self.deleted: list[str] = []
        self._pods = list(pods)

    def list(self, after: str = "") -> tuple[Sequence[UserPod], str]:
        later = [pod for pod in sorted(self._pods, key=lambda pod: pod.name) if pod.name > after]
        return later[:1], later[0].name if len(later) > 1 else ""

    def delete(self, pod: UserPod) -> None:
        if pod in self._pods:
            self._pods.remove(pod)
            self.deleted.append(pod.name)
