"""Functions for the tests of the runtime, deployed as the main.py of an archive."""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from flask import Request, Response

ME = uuid.uuid4().hex
SLOTS = threading.Semaphore(int(os.environ["THREADS"]))


def echo(request: Request) -> dict[str, Any]:
    return {
        "me": ME,
        "method": request.method,
        "target": request.environ["RAW_URI"],
        "path": request.path,
        "root": request.root_path,
        "scheme": request.scheme,
        "headers": list(request.headers),
        "body_bytes": len(request.get_data()),
        "environment": dict(os.environ),
    }


def answer(request: Request) -> Response:
    """An answer with the status `s` and two cookies."""
    response = Response(status=int(request.args["s"]))
    response.set_cookie("a", "1")
    response.set_cookie("b", "2")
    return response


def sleep(request: Request) -> dict[str, Any]:
    """Sleeps `s` seconds, and says whether more requests came than the instance allows."""
    allowed = SLOTS.acquire(blocking=False)
    time.sleep(float(request.args["s"]))
    if allowed:
        SLOTS.release()
    return {"me": ME, "allowed": allowed}


def hold(request: Request) -> str:
    """Makes the file `begun`, and answers when there is a file `until`."""
    Path(request.args["begun"]).touch()
    while not Path(request.args["until"]).exists():
        time.sleep(0.01)
    return ME


def events(request: Request) -> Response:
    """A stream that never ends by itself; `mark` is a file that appears when it has ended."""

    def numbers() -> Iterator[str]:
        try:
            for number in range(100_000):
                yield f"id: {number}\ndata: {ME}\n\n"
                time.sleep(0.05)
        finally:
            if "mark" in request.args:
                Path(request.args["mark"]).touch()

    return Response(numbers(), mimetype="text/event-stream")


def background(request: Request) -> str:
    """Starts what no function may rely on: a thread that goes on counting into the file `count`."""

    def count(file: Path) -> None:
        number = 0
        while True:
            number += 1
            file.with_suffix(".next").write_text(str(number))
            file.with_suffix(".next").replace(file)
            time.sleep(0.01)

    if "count" in request.args:
        threading.Thread(target=count, args=(Path(request.args["count"]),), daemon=True).start()
    return ME


def crash(request: Request) -> str:
    os._exit(3)


def imports(request: Request) -> dict[str, str]:
    """What each module named in `m` comes from, or why it does not come."""
    found = {}
    for name in request.args.getlist("m"):
        try:
            found[name] = str(__import__(name).__file__)
        except ImportError as error:
            found[name] = str(error)
    return found


def write(request: Request) -> str:
    """Tries to write where the source is, then where it may."""
    Path(os.environ["TMPDIR"], "note").write_text("mine")
    try:
        Path(__file__).with_name("note").write_text("not mine")
    except OSError as error:
        return str(error)
    return "written"


def shout(request: Request) -> str:
    os.write(2, b"x" * 100_000 + b"\n\x1b[2Jbeware\r\n")
    return "ok"
