"""The parts of a cluster: the API server, and the kubelet of its one node. Every stack has them."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from emulator.stack import documents
from emulator.stack.installation import ROOT
from emulator.stack.parts import Part
from emulator.stack.ports import HOST

NODE_NAME = "local"


@dataclass(frozen=True, slots=True)
class ClusterParts:
    """Makes parts that find each other at *ports*, keep what they have in *state*, and see *surroundings* only."""

    state: Path
    ports: Mapping[str, int]
    surroundings: Mapping[str, str]

    def kube(self, *, token_file: Path) -> Part:
        flags = (
            *("--port", str(self.ports["kube"]), "--tls-port", str(self.ports["kube_tls"])),
            *("--state", str(self.state / "kube"), "--token-file", str(token_file)),
        )
        return self.python_part("kube", *flags, address=self.url("kube"))

    def kubelet(
        self, *, token_file: Path, registry_login: Path, host_paths: Sequence[Path] = (), visible: Sequence[Path] = ()
    ) -> Part:
        """*host_paths* are where hostPath volumes may point, *visible* what containers may read wherever it lies."""
        flags = (
            *("--port", str(self.ports["kubelet"]), "--state", str(self.state / "kubelet"), "--node-name", NODE_NAME),
            *("--server", self.url("kube"), "--token-file", str(token_file)),
            *("--registry", documents.registry(self.ports), "--registry-credentials", str(registry_login)),
            *("--pod-network", documents.pod_network(self.ports)),
            # A kubelet that crashes leaves them running for the next one; a supervisor leaves nothing.
            *("--end-with", str(os.getpid())),
            *("--needed", sys.prefix, "--needed", sys.base_prefix),
            *(word for folder in host_paths for word in ("--allow-host-path", str(folder))),
            *(word for folder in visible for word in ("--visible", str(folder))),
        )
        return self.python_part("kubelet", *flags, address=self.url("kubelet"), uses=frozenset({"kube"}))

    def python_part(
        self, name: str, *flags: str, address: str, health: str = "", uses: frozenset[str] = frozenset()
    ) -> Part:
        """The module `emulator.<name>` as a part; its *health* is at its *address* unless said otherwise."""
        return Part(
            name=name.rpartition(".")[2],
            command=(sys.executable, "-m", f"emulator.{name}", *flags),
            environment=self.surroundings,
            folder=ROOT,
            uses=uses,
            address=address,
            health=health or f"{address}/healthz",
        )

    def url(self, name: str) -> str:
        return f"http://{HOST}:{self.ports[name]}"
