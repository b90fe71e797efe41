"""`python -m emulator.kubelet`: the kubelet of one node, in the foreground until SIGTERM."""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import ipaddress
import logging
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from emulator.images import PulledImage, pull
from emulator.kubelet.identity import container_account
from emulator.kubelet.kubelet import Settings, running_kubelet
from emulator.kubelet.layout import Layout, hidden_folders
from emulator.kubelet.ownership import closed_to
from emulator.kubelet.process import find_runtime
from emulator.kubelet.runs import named_process

log = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the kubelet; returns when it was told to stop."""
    options = _parser().parse_args(argv)
    # Environments must be readable for the account that containers are, whatever whoever starts us is used to.
    os.umask(0o022)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    state = options.state.resolve()
    try:
        with _owned(state):
            asyncio.run(_run(options, state))
    except OSError as error:
        log.error("the kubelet cannot run: %s", error)
        return 1
    return 0


@contextmanager
def _owned(state: Path) -> Iterator[None]:
    """Hold the state folder: a second kubelet would take the first one's pods for leftovers."""
    state.mkdir(parents=True, exist_ok=True)
    with (state / "kubelet.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise OSError(f"another kubelet uses {state}") from error
        yield


async def _run(options: argparse.Namespace, state: Path) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    credentials = options.registry_credentials.read_text().strip()

    async def pull_image(reference: str) -> PulledImage:
        return await pull(reference, registry=options.registry, credentials=credentials, root=state)

    settings = Settings(
        port=options.port,
        node=options.node_name,
        server=options.server,
        token=options.token_file.read_text().strip(),
        registry=options.registry,
        layout=_layout(options, state),
        pod_network=options.pod_network,
        pods=options.max_pods,
        end_with=None if options.end_with is None else named_process(options.end_with),
    )
    runtime = None if options.no_bubblewrap else find_runtime()
    if runtime is None:
        _check_ways([state, *options.needed])
    async with running_kubelet(settings, pull=pull_image, runtime=runtime, now=lambda: datetime.now(UTC)):
        await stopped.wait()
        log.info("stopping")


def _check_ways(folders: Sequence[Path]) -> None:
    """Raise OSError when root's containers, who are not root, could not run at all for want of bubblewrap."""
    account = container_account()
    for path in folders:
        closed = None if account is None else closed_to(path, account)
        if closed is not None:
            raise OSError(
                f"containers of root run as another user, who may not enter {closed}. Install bubblewrap "
                f"(Debian: apt-get install bubblewrap), or run as a normal user, or open that folder (chmod o+x)."
            )


def _layout(options: argparse.Namespace, state: Path) -> Layout:
    secrets = (options.token_file.resolve(), options.registry_credentials.resolve())
    # The interpreter that environments are made with; it may lie in the home folder that is hidden.
    interpreter = Path(sys.base_prefix).resolve()
    # Often a link to below /run, which containers have empty.
    resolver = Path("/etc/resolv.conf").resolve()
    return Layout(
        state=state,
        visible=(interpreter, resolver, *(path.resolve() for path in options.visible)),
        hidden=(*hidden_folders(state, Path.home()), *(path.resolve() for path in options.hide)),
        masked=secrets,
        allowed_host_paths=tuple(path.resolve() for path in options.allow_host_path),
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m emulator.kubelet", description=__doc__)
    parser.add_argument("--port", type=int, required=True, help="port of 127.0.0.1 to serve logs and health at")
    parser.add_argument("--state", type=Path, required=True, help="folder for pods, logs and images")
    parser.add_argument("--server", required=True, help="URL of the API server")
    parser.add_argument("--token-file", type=Path, required=True, help="file with this kubelet's bearer token")
    parser.add_argument("--node-name", required=True)
    parser.add_argument("--registry", required=True, help="HOST:PORT that images come from")
    parser.add_argument("--registry-credentials", type=Path, required=True, help="file with USER:PASSWORD")
    parser.add_argument("--pod-network", type=ipaddress.IPv4Network, default="127.77.0.0/16")
    parser.add_argument("--max-pods", type=int, default=110)
    parser.add_argument(
        "--end-with", type=int, help="process with which containers end at the latest, instead of with the kubelet"
    )
    parser.add_argument(
        "--allow-host-path", type=Path, action="append", default=[], help="folder below which hostPath may point"
    )
    parser.add_argument(
        "--needed", type=Path, action="append", default=[], help="folder without which containers cannot do their work"
    )
    parser.add_argument(
        "--visible", type=Path, action="append", default=[], help="folder that containers may read wherever it lies"
    )
    parser.add_argument(
        "--hide", type=Path, action="append", default=[], help="further folder that containers may not see"
    )
    parser.add_argument("--no-bubblewrap", action="store_true", help="run containers without isolation")
    return parser


if __name__ == "__main__":
    sys.exit(main())
