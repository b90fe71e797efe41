"""Where the emulator answers otherwise than the recording, with the reasons that docs/kubernetes.md tells.

What newer versions add is in `newer.py`. A difference that no answer shows any more is an error, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from tests.emulator.kube.replay.comparing import Mismatch


@dataclass(frozen=True, slots=True)
class Difference:
    """A reason, and where it shows: cases and paths (within a step) as regular expressions."""

    reason: str
    cases: str
    path: str

    def explains(self, case: str, found: Mismatch) -> bool:
        return bool(re.fullmatch(self.cases, case) and re.fullmatch(r"\d+" + self.path, found.path))


NO_TOKENS = "pods get no token of their service account"
DECODER = "the words of the decoder are not Go's"
AT_ONCE = "controllers act within milliseconds"
NEWER = "1.31 answers so, and 1.20 did not"
RUNTIME = "a process is not started by runc"
ONE_VERSION = "one version of each group is served"

DIFFERENCES: tuple[Difference, ...] = (
    Difference(NO_TOKENS, "crud-serviceaccount", r"\.body(\.items\[0\])?\.(secrets|metadata\.resourceVersion)"),
    Difference(NO_TOKENS, "crud-pod|pod-numbers|serviceaccount-admission", r".*\.spec\.volumes"),
    Difference(NO_TOKENS, "crud-pod|pod-numbers|serviceaccount-admission", r".*\.containers\[0\]\.volumeMounts"),
    Difference(NO_TOKENS, "serviceaccount-admission", r"\.wait"),
    Difference(NO_TOKENS, "api-core-v1", r"\.body\.resources\.serviceaccounts/token"),
    Difference(DECODER, "malformed-body|yaml-in|bad-labels|pod-env|pod-ports|pod-numbers", r"\.body\.message"),
    Difference(DECODER, "unknown-fields|paging-errors", r"\.body\.message"),
    Difference(DECODER, "merge-patch|pod-update-immutable", r"\.body\.(details\.causes\[0\]\.)?message"),
    Difference(AT_ONCE, "crud-job", r"\.body(\.items\[0\])?\.(metadata\.resourceVersion|status\.startTime)"),
    Difference(AT_ONCE, "job-status", r"\.body\.status\.startTime"),
    Difference(AT_ONCE, "namespace-deletion", r"\.body\.(metadata\.resourceVersion|status\.conditions)"),
    Difference(RUNTIME, "life-command-not-found", r".*\.message"),
    Difference(ONE_VERSION, "api-groups", r"\.body\.groups\..*"),
    Difference(ONE_VERSION, "api-groups", r"\.body\.versions\[1\]"),
    Difference(NEWER, "api-core-v1|api-batch-v1", r"\.body\.resources\.\w+\.singularName"),
    Difference(NEWER, "api-core-v1", r"\.body\.resources\.pods/eviction\.version"),
    Difference(NEWER, "api-core-v1", r"\.body\.resources\.services\.verbs\[\d\]"),
    Difference(NEWER, "version", r"\.body\.(minor|gitVersion)"),
    Difference(NEWER, "openapi", r"\.type"),
    Difference(NEWER, "crud-job|job-.*", r".*\.spec\.selector\.matchLabels.*"),
    Difference(NEWER, "table-job|job-.*", r"\.body\.columnDefinitions\[\d\](\.\w+)?"),
    Difference(NEWER, "table-job|job-.*", r"\.body\.rows\.?\[0\]\.cells\[\d\]"),
    Difference(NEWER, "job-ttl", r"\..*"),
    Difference(NEWER, "job-invalid", r"\.body\.(message|details\.causes\[\d\](\.message)?)"),
    Difference(NEWER, "pod-numbers", r"\.body\.spec\.terminationGracePeriodSeconds"),
    Difference(NEWER, "strategic-patch", r"\.(code|body\..*)"),
)


def unexplained(case: str, found: Iterable[Mismatch]) -> list[Mismatch]:
    """Return the mismatches that no difference explains."""
    return [each for each in found if not any(known.explains(case, each) for known in DIFFERENCES)]
