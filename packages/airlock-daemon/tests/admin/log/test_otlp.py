"""Records sent to a receiver of OTLP, by OpenTelemetry's exporter."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue
from typing import Any

import pytest

from commanding import run
from logs import write
from worlds import World

ALLOWED = {"command": "git", "args": ["push"], "outcome": "allowed", "exit_code": 0}
STARTED = {"event": "exec-start", "command": "git", "args": ["push"]}
DENIED = {"command": "git", "args": ["gc"], "outcome": "denied", "layer": "module", "rule": "gc"}

# Reads a request as protobufs of OpenTelemetry, and prints a line of JSON for each record.
_READ = """
import json, sys
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
request = ExportLogsServiceRequest()
request.ParseFromString(sys.stdin.buffer.read())
for resource in request.resource_logs:
    for scope in resource.scope_logs:
        for each in scope.log_records:
            found = {one.key: one.value.string_value for one in each.attributes}
            body = each.body.string_value
            print(json.dumps([each.time_unix_nano, each.severity_text, body, found]))
"""


class Receiver(ThreadingHTTPServer):
    """Takes whatever is posted to it, or answers with `status`."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status = 200
        self.bodies = Queue[bytes]()
        self.url = f"http://127.0.0.1:{self.server_port}/v1/logs"


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.server.status == 200:
            self.server.bodies.put(body)
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as made:
        thread = threading.Thread(target=made.serve_forever)
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def test_without_the_extra_it_is_told(world: World, receiver: Receiver) -> None:
    """With the line that installs it; nothing else of `log` needs it."""
    write(world.log, ALLOWED)
    said = run(world, "log", "export", "--otlp", receiver.url, status=1).stderr
    assert "OpenTelemetry's exporter is not installed" in said
    assert "pip install 'airlock-daemon[otlp]'" in said


@pytest.fixture(scope="module")
def extra(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The extra, from the package index."""
    folder = tmp_path_factory.mktemp("extra")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-compile", "--no-warn-conflicts"]
    wanted = "opentelemetry-exporter-otlp-proto-http>=1.36"
    subprocess.run([*pip, f"--target={folder}", wanted], check=True)
    return folder


@pytest.mark.nightly
def test_a_receiver_gets_the_records(world: World, receiver: Receiver, extra: Path) -> None:
    """Each line of the log as a body, with its time; new ones as they come; an error if refused."""
    write(world.log, STARTED, ALLOWED, DENIED)
    environment = {**os.environ, "PYTHONPATH": str(extra), "OTEL_EXPORTER_OTLP_TIMEOUT": "3"}
    options = ("--config", str(world.config), "--agents", str(world.agents_file))
    argv = [sys.executable, "-m", "airlock_daemon", *options, "log", "export", "--otlp"]
    done = subprocess.run(
        [*argv, receiver.url], env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "sent 3 records\n"), done.stderr
    found = _read(receiver.bodies.get(timeout=30), environment)
    lines = world.log.read_text().splitlines()
    assert [body for _, _, body, _ in found] == lines
    assert [severity for _, severity, _, _ in found] == ["INFO", "INFO", "WARN"]
    assert found[2][3]["airlock.rule"] == "gc"
    assert all(time > 1_700_000_000_000_000_000 for time, *_ in found)
    words = [*argv, receiver.url, "-n", "0", "--follow"]
    with subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "sent 0 records\n"
        write(world.log, STARTED)
        (new,) = _read(receiver.bodies.get(timeout=30), environment)
        assert new[3]["airlock.event"] == "exec-start"
        process.kill()
    receiver.status = 400
    done = subprocess.run(
        [*argv, receiver.url], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "has not taken the records" in done.stderr


def _read(body: bytes, environment: dict[str, str]) -> list[list[Any]]:
    done = subprocess.run(
        [sys.executable, "-c", _READ], input=body, env=environment, capture_output=True, check=True
    )
    return [json.loads(line) for line in done.stdout.splitlines()]
