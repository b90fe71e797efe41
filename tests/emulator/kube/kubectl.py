"""Runs a kubectl, or a program that reads the same configuration, in a namespace of the server."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.emulator.kube.serving import TOKEN, ServerThread

CONFIG = """
apiVersion: v1
kind: Config
clusters: [{{name: c, cluster: {{server: "{url}", certificate-authority: "{certificate}"}}}}]
users: [{{name: u, user: {{token: "{token}"}}}}]
contexts: [{{name: x, context: {{cluster: c, user: u, namespace: "{namespace}"}}}}]
current-context: x
"""
MANIFEST = """
apiVersion: v1
kind: ConfigMap
metadata: {{name: a, labels: {{of: test}}}}
data: {{k: "{value}"}}
---
apiVersion: v1
kind: Service
metadata: {{name: a}}
spec: {{ports: [{{port: 80}}], selector: {{app: a}}}}
"""


class Kubectl:
    """One program, with a home and a configuration of its own."""

    def __init__(self, program: str, folder: Path, server: ServerThread, namespace: str, token: str = TOKEN) -> None:
        self.program, self.folder, self.namespace = program, folder, namespace
        config = folder / "config"
        values = {"url": server.tls_url, "certificate": server.certificate, "token": token, "namespace": namespace}
        config.write_text(CONFIG.format(**values))
        config.chmod(0o600)
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "KUBECONFIG": str(config)}

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        pipe, command, given = subprocess.PIPE, [self.program, *arguments], self.environment | environment
        return subprocess.Popen(command, env=given, stdin=pipe, stdout=pipe, stderr=pipe, text=True)

    def __call__(self, *arguments: str, fails: bool = False, given: str = "", **environment: str) -> str:
        """Return what is printed (the errors, where it must fail); *given* is the standard input."""
        with self.start(*arguments, **environment) as process:
            out, errors = process.communicate(given, timeout=60)
        assert (process.returncode != 0) == fails, errors
        return errors if fails else out

    def manifest(self, value: str) -> str:
        path = self.folder / "manifest.yaml"
        path.write_text(MANIFEST.format(value=value))
        return str(path)
