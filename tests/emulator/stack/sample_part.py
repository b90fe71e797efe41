"""A part with a behaviour: `serve PORT`, `work` (with a child of its own), `stubborn` (ignores SIGTERM), `fail`."""

import os
import signal
import sys
import time


def serve(port: int) -> None:
    import http.server

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()

    http.server.HTTPServer(("127.0.0.1", port), Handler).serve_forever()


def work() -> None:
    # The child has a session of its own and does not end with its parent: what an orphan is made of.
    if os.fork() == 0:
        os.setsid()
        time.sleep(600)
    sys.stderr.write("working\n")
    sys.stderr.flush()
    time.sleep(600)


def main(behaviour: str, *arguments: str) -> None:
    if behaviour == "serve":
        serve(int(arguments[0]))
    elif behaviour == "fail":
        sys.exit("the disk is made of cheese")
    elif behaviour == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    work()


if __name__ == "__main__":
    main(*sys.argv[1:])
