"""A place to run Terraform on a copy of the configuration: `python -m tests.terraform.workbench validate`.

Where the providers' registry answers, Terraform takes the providers from there. Where it does not, or with
TERRAFORM_PROVIDERS=schemas, their schemas are served to it (provider.py), which are read once out of pinned wheels
(providers.txt) and kept in the user's cache.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.terraform.provider import Provider, Served
from tests.terraform.schemas import Block, read_schemas

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
WHEELS = HERE / "providers.txt"
PROVIDERS = ("archive", "google", "helm", "kubernetes", "random")
REGISTRY = "https://registry.terraform.io/.well-known/terraform.json"
COPIED = ("terraform", "functions", "hub", "main.py", "requirements.txt")
# The state of a plan that nobody applies is nowhere.
NO_BACKEND = 'terraform {\n  backend "local" {}\n}\n'


@dataclass(frozen=True, slots=True)
class Done:
    """What a command printed, and its exit code."""

    code: int
    text: str


@dataclass(slots=True)
class Workbench:
    """A copy of the parts of the repository that Terraform reads, and Terraform in it."""

    root: Path
    environment: dict[str, str]
    _initialised: set[str] = field(default_factory=set)

    def folder(self, name: str = "terraform") -> Path:
        return self.root / name

    def run(self, *arguments: str, folder: str = "terraform") -> Done:
        """Run `terraform` with *arguments* in *folder*, after `terraform init` there."""
        if folder not in self._initialised:
            done = self._terraform(folder, "init", "-input=false")
            if done.code:
                return done
            self._initialised.add(folder)
        return self._terraform(folder, *arguments)

    def plan(self, *arguments: str, folder: str = "terraform") -> dict[str, Any]:
        """The plan, as `terraform show -json` tells it."""
        done = self.run("plan", "-input=false", "-lock=false", "-out=plan.tfplan", *arguments, folder=folder)
        if done.code:
            raise RuntimeError(done.text)
        shown = subprocess.run(
            ["terraform", "show", "-json", "plan.tfplan"],
            cwd=self.folder(folder),
            env=self.environment,
            capture_output=True,
            text=True,
            check=True,
        )
        plan: dict[str, Any] = json.loads(shown.stdout)
        return plan

    def _terraform(self, folder: str, *arguments: str) -> Done:
        # Warnings and errors are framed for terminals unless -no-color; `fmt` among others does not know it.
        done = subprocess.run(
            ["terraform", *arguments],
            cwd=self.folder(folder),
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return Done(done.returncode, done.stdout)


@contextmanager
def workbench(root: Path) -> Iterator[Workbench]:
    """A workbench in the new folder *root*."""
    copy_configuration(root)
    environment = {**os.environ, "CHECKPOINT_DISABLE": "1", "TF_IN_AUTOMATION": "1", "TF_CLI_ARGS": ""}
    # A person's own settings, which may name a file that is not there.
    environment.pop("TF_CLI_CONFIG_FILE", None)
    if _registry_answers():
        yield Workbench(root, environment)
        return
    providers = {name: Provider(blocks, root / "terraform") for name, blocks in cached_schemas().items()}
    with Served(providers, pid=os.getpid()) as served:
        yield Workbench(root, environment | {"TF_REATTACH_PROVIDERS": served.reattach})


def copy_configuration(root: Path) -> None:
    """Copy what Terraform reads to *root*, without anybody's state, and with no place for a new one."""
    ignore = shutil.ignore_patterns(".terraform", "*.tfstate*", "__pycache__", "node_modules")
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, root / name, ignore=ignore)
        else:
            root.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, root / name)
    for folder in ("terraform", "terraform/hub"):
        if (root / folder).is_dir():
            (root / folder / "no_backend_override.tf").write_text(NO_BACKEND)


def cached_schemas() -> dict[str, dict[str, dict[str, Block]]]:
    """The schemas of all providers, from the cache or else from the wheels."""
    marks = hashlib.sha256(WHEELS.read_bytes() + (HERE / "schemas.py").read_bytes()).hexdigest()[:16]
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = base / "binderless" / f"terraform-schemas-{marks}"
    if not folder.exists():
        _fill(folder)
    return {name: json.loads((folder / f"{name}.json").read_text()) for name in PROVIDERS}


def _fill(folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as text:
        temporary, made = Path(text) / "wheels", Path(text) / "schemas"
        made.mkdir()
        install = ["uv", "pip", "install", "--quiet", "--no-deps", "--require-hashes", "--target", str(temporary)]
        install[0] = str(Path(sys.executable).parent / "uv")
        subprocess.run([*install, "--requirement", str(WHEELS)], check=True)
        for name in PROVIDERS:
            package = next(temporary.glob(f"cdktn_provider_{name}/_jsii/*.jsii.tgz"))
            (made / f"{name}.json").write_text(json.dumps(read_schemas(package)))
        # Whoever comes second at the same time finds the first one's.
        if not folder.exists():
            made.rename(folder)


def _registry_answers() -> bool:
    wanted = os.environ.get("TERRAFORM_PROVIDERS", "")
    if wanted in ("registry", "schemas"):
        return wanted == "registry"
    try:
        with urllib.request.urlopen(REGISTRY, timeout=3) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def main(arguments: list[str]) -> int:
    """Run one command of Terraform; `--in terraform/hub` before it names another folder than terraform."""
    folder = "terraform"
    if arguments[:1] == ["--in"]:
        folder, arguments = arguments[1], arguments[2:]
    with tempfile.TemporaryDirectory() as root, workbench(Path(root) / "repository") as bench:
        done = bench.run(*arguments, folder=folder)
        sys.stdout.write(done.text)
        return done.code


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
