"""Real servers, and one that stands before a server and misbehaves on demand."""

import json
import os
import signal
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ANSWER_S = 12
"""Seconds: more than any answer takes on a busy machine."""
PATIENCE_S = 600
"""More than anything takes that a test waits for."""
KEY = "a-key-that-must-never-be-written-anywhere"


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@contextmanager
def running_server(command: list[str], port: int, log: Path, environment: dict[str, str], patience_s: float) -> Iterator[str]:
    """Run a server until the block ends; gives its address once it is healthy."""
    with open(log, "wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=os.environ | environment)
    try:
        until = time.monotonic() + patience_s
        while True:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < until, log.read_text()
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5)
                break
            except OSError:
                time.sleep(0.5)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)


def saying(content: str | None, finish_reason: str = "stop", usage: tuple[int, int] | None = (100, 10), **fields: str) -> dict:
    """A reply with a certain answer, whatever the server would have said."""
    counts = {"prompt_tokens": usage[0], "completion_tokens": usage[1]} if usage else None
    return {"choices": [{"message": {"content": content, **fields}, "finish_reason": finish_reason}], "usage": counts}


def refusing(status: int, message: str) -> dict:
    """A reply with an error."""
    return {"status": status, "error": {"message": message}}


class Gate:
    """A server that hands requests on to another one, and misbehaves as it is told."""

    def __init__(self, address: str) -> None:
        self.behind = address
        self.faults: list[str | dict | None] = []
        """What happens to the next requests; afterwards `then` does. A mapping is sent as the reply, with its `status`."""
        self.then: str | dict | None = None
        self.opened = threading.Event()
        """While it is not set, requests wait."""
        self.opened.set()
        self.requests: list[dict] = []
        self.in_flight = self.most_in_flight = 0
        self.lock = threading.Lock()
        gate = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                gate.handle(self)

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}/v1"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def handle(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers["content-length"]))
        with self.lock:
            self.requests.append(json.loads(body))
            fault = self.faults.pop(0) if self.faults else self.then
            self.in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self.in_flight)
        self.opened.wait(PATIENCE_S)
        try:
            if request.headers["authorization"] != f"Bearer {KEY}":
                wrong = f"Incorrect API key provided: {request.headers['authorization'].removeprefix('Bearer ')}"
                self.reply(request, 401, {"error": {"message": wrong}})
            elif fault is None:
                path = request.path.removeprefix("/v1")
                forwarded = urllib.request.Request(self.behind + path, body, {"content-type": "application/json"})
                self.reply(request, 200, json.load(urllib.request.urlopen(forwarded)))
            elif isinstance(fault, dict):
                self.reply(request, fault.get("status", 200), {key: value for key, value in fault.items() if key != "status"})
            elif fault == "slow":
                # Until the other side has given up.
                request.connection.settimeout(PATIENCE_S)
                with suppress(OSError):
                    request.connection.recv(1)
            elif fault == "malformed":
                self.send(request, 200, b'{"choices": [{"text": "half an ans')
            elif fault == "empty":
                self.reply(request, 200, {"choices": [], "usage": None})
            elif fault != "dropped":
                self.reply(request, int(fault), {"error": {"message": f"fault {fault}"}}, {"retry-after": "0"})
        finally:
            with self.lock:
                self.in_flight -= 1

    def reply(self, request: BaseHTTPRequestHandler, status: int, value: dict, headers: dict[str, str] | None = None) -> None:
        self.send(request, status, json.dumps(value).encode(), headers)

    def send(self, request: BaseHTTPRequestHandler, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
        request.send_response(status)
        for name, value in {"content-type": "application/json", "content-length": str(len(content)), **(headers or {})}.items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(content)
