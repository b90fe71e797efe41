"""What is created and stored nowhere: questions about rights, and bindings of pods to nodes."""

from __future__ import annotations

from emulator.kube.kinds.columns import NAME
from emulator.kube.resource import Resource

AUTHORIZATION = "authorization.k8s.io"


def _review(kind: str, plural: str, group: str = AUTHORIZATION, *, namespaced: bool = False) -> Resource:
    return Resource(
        kind=kind, plural=plural, group=group, namespaced=namespaced, verbs=("create",), columns=(NAME,), stored=False
    )


ACCESS = _review("SelfSubjectAccessReview", "selfsubjectaccessreviews")
ACCESS_OF_ANOTHER = _review("SubjectAccessReview", "subjectaccessreviews")
LOCAL_ACCESS = _review("LocalSubjectAccessReview", "localsubjectaccessreviews", namespaced=True)
RULES = _review("SelfSubjectRulesReview", "selfsubjectrulesreviews")
WHO_AM_I = _review("SelfSubjectReview", "selfsubjectreviews", "authentication.k8s.io")
BINDINGS = Resource(kind="Binding", plural="bindings", verbs=("create",), columns=(NAME,), stored=False)
REVIEWS = (LOCAL_ACCESS, ACCESS, RULES, ACCESS_OF_ANOTHER)
