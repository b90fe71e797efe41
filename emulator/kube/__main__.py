"""`python -m emulator.kube --port N --state DIR --token-file F`: the API server and its controllers."""

from __future__ import annotations

import argparse
import asyncio
import logging
import ssl
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from emulator.kube import certificate


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m emulator.kube", description=__doc__)
    parser.add_argument("--port", type=int, required=True, help="port on 127.0.0.1; 0 takes a free one")
    parser.add_argument("--state", type=Path, required=True, help="folder for the objects")
    parser.add_argument("--token-file", type=Path, required=True, help='lines of token,user,uid,"group1,group2"')
    parser.add_argument("--tls-port", type=int, help="also serve TLS there, with STATE/server.crt as its authority")
    return parser.parse_args()


def main() -> int:
    """Serve until SIGTERM or SIGINT."""
    given = arguments()
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    if given.tls_port is None:
        return _serve(given, None)
    with ThreadPoolExecutor(1) as beside:
        return _serve(given, beside.submit(certificate.context, given.state).result)


def _serve(given: argparse.Namespace, tls_context: Callable[[], ssl.SSLContext] | None) -> int:
    # Only now: the first certificate is made while this is imported.
    from emulator.kube.authentication import TokenFileError, read_tokens
    from emulator.kube.journal import StateInUse
    from emulator.kube.process import Settings, serve

    try:
        tokens = read_tokens(given.token_file)
        asyncio.run(serve(Settings(given.port, given.state, tokens, given.tls_port, tls_context=tls_context)))
    except (OSError, StateInUse, TokenFileError) as error:
        logging.getLogger("emulator.kube").error("%s", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
