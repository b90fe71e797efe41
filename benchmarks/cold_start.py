"""How fast a function is there: `python -m benchmarks.cold_start`.

Import of the functions beyond functions-framework's own; start of an instance, by the command of the runtime, to its
first answer.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import urllib3

from benchmarks.machine import describe, spread
from tests.ports import free_port

ROOT = Path(__file__).parents[1]
RUNS = 7
ENTRY_POINTS = {
    "pages": "/",
    "build": "/versions",
    "on_build_complete": "/",
    "cull": "/",
    "webhook": "/webhooks/github",
}
SETTINGS = {
    "BINDERLESS_HUB__URL": "http://127.0.0.1:9/",
    "BINDERLESS_HUB__API_URL": "http://127.0.0.1:9/hub/api",
    "BINDERLESS_HUB__TOKEN": "token",
    "BINDERLESS_REGISTRY__URL": "http://127.0.0.1:9",
    "BINDERLESS_REGISTRY__IMAGE_PREFIX": "127.0.0.1:9/binder-",
    "BINDERLESS_LAUNCHES__SECRET": "0" * 32,
}
IMAGE = f"europe-docker.pkg.dev/p/binder/repo2docker@sha256:{'0' * 64}"
WIRINGS: dict[str, dict[str, str]] = {
    "one machine": {},
    "Google Cloud": {
        "BINDERLESS_REGISTRY__URL": "https://europe-docker.pkg.dev",
        "BINDERLESS_REGISTRY__CREDENTIALS": "google",
        "BINDERLESS_STORE__BACKEND": "firestore",
        "BINDERLESS_FIRESTORE__PROJECT": "p",
        "BINDERLESS_BUILDS__BACKEND": "cloud_build",
        "BINDERLESS_BUILDS__IMAGE": IMAGE,
        "BINDERLESS_CLOUD_BUILD__PROJECT": "p",
        "BINDERLESS_CLOUD_BUILD__REGION": "europe-west1",
        "BINDERLESS_CLOUD_BUILD__SERVICE_ACCOUNT": "builder@p.iam.gserviceaccount.com",
        "BINDERLESS_CLOUD_BUILD__LOG_BUCKET": "p-build-logs",
    },
}
SDK = """
import time
import google.cloud.firestore_v1.services.firestore
begun = time.perf_counter()
from google.cloud.devtools.cloudbuild_v1 import CloudBuildClient
print(time.perf_counter() - begun)
"""
IMPORT = """
import time
import functions_framework, functions_framework._http.gunicorn
begun = time.perf_counter()
import main
print(time.perf_counter() - begun)
"""


def main() -> None:
    print(describe())
    subprocess.run([sys.executable, "-m", "compileall", "-q", "main.py", "functions"], cwd=ROOT, check=True)
    imports = [float(_python("-c", IMPORT)) for _ in range(RUNS)]
    print(f"import of all five functions beyond functions-framework  {spread(imports)}")
    sdk = spread([float(_python("-c", SDK)) for _ in range(RUNS)])
    print(f"import of Cloud Build's client, at the first build beside Firestore's  {sdk}")
    for wiring, settings in WIRINGS.items():
        for name, path in ENTRY_POINTS.items():
            starts = spread([_start(name, path, settings) for _ in range(RUNS)])
            print(f"{wiring:12}: start of an instance of {name:18} to its first answer  {starts}")


def _python(*arguments: str) -> str:
    return subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout


def _start(entry_point: str, path: str, settings: dict[str, str]) -> float:
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, **SETTINGS, "BINDERLESS_STORE__PATH": f"{folder}/store.sqlite"} | settings
        environment |= {"HOST": "127.0.0.1", "PORT": str(port), "WORKERS": "1", "THREADS": "250"}
        command = [sys.executable, "-m", "functions_framework", "--target", entry_point]
        begun = time.perf_counter()
        instance = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL)
        try:
            _first_answer(f"http://127.0.0.1:{port}{path}")
            return time.perf_counter() - begun
        finally:
            instance.terminate()
            instance.wait(10)


def _first_answer(url: str) -> int:
    deadline = time.monotonic() + 20
    with urllib3.PoolManager(retries=False) as http:
        while time.monotonic() < deadline:
            try:
                return http.request("GET", url).status
            except urllib3.exceptions.HTTPError:
                time.sleep(0.005)
    raise TimeoutError(url)


if __name__ == "__main__":
    main()
