#!/usr/bin/env python3
"""A small daemon that keeps to the protocol: the positive control of the suite.

It knows what the suite asks about and nothing more: no audit log, no workspace, no identity. It
is there so that a fault of the suite shows, and for the broken daemons to be derived from.
"""

import json
import os
import socket
import sys
import threading
import tomllib
from pathlib import Path
from typing import Any

from reference_requests import Refusal, Request, parse, require_request
from reference_rules import matches, read_arguments
from reference_run import ClientGoneError, Run

_CHUNK = 65_536


class ReferenceDaemon:
    """Serves one agent. Its methods are the steps that a broken daemon does otherwise."""

    max_request_bytes = 4_194_304
    run_type = Run

    def __init__(self, config: Path, agent: Path) -> None:
        settings = tomllib.loads((config / "config.toml").read_text())
        limits = settings.get("limits", {})
        self.enabled = settings["commands"]["enable"]
        self.request_s = float(limits.get("request_s", 10))
        self.places = threading.BoundedSemaphore(limits.get("connections", 1024))
        self.commands = tomllib.loads((agent / "airlock.toml").read_text())["commands"]
        self.modules = {
            path.stem: tomllib.loads(path.read_text()) for path in agent.glob("commands/*.toml")
        }

    def serve(self, client: socket.socket) -> None:
        """Serve one connection to its end."""
        with client:
            if not self.places.acquire(blocking=False):
                self.refuse(client, "too many connections", kind="denied", layer="limit")
                return
            try:
                line = self.read_line(client)
                if line is not None:
                    self.answer(client, line)
                self.finish(client)
            except (ClientGoneError, OSError):
                return
            finally:
                self.places.release()

    def answer(self, client: socket.socket, line: bytes) -> None:
        """Do what a line asks for and send the response."""
        request = None
        try:
            request = require_request(self.parse(line))
            self.decide(request)
            result = self.perform(client, request)
        except Refusal as refusal:
            known = refusal.request_id if request is None else request.id
            self.send(client, {"id": self.error_id(known), "error": self.error(refusal)})
        else:
            self.send(client, {"id": request.id, "result": result})

    def read_line(self, client: socket.socket) -> bytes | None:
        """Return the first line, or None where there is none and the client knows why."""
        received = b""
        client.settimeout(self.request_s)
        while b"\n" not in received:
            if len(received) > self.max_request_bytes:
                self.refuse(client, "the request is too large", code=-32700, kind="parse-error")
                return None
            try:
                data = client.recv(_CHUNK)
            except TimeoutError:
                self.refuse(client, "no request came in time", kind="denied", layer="limit")
                return None
            if not data and received:
                self.refuse(client, "half a request", code=-32700, kind="parse-error")
            if not data:
                return None
            received += data
        client.settimeout(None)
        return received.partition(b"\n")[0]

    def refuse(self, client: socket.socket, text: str, *, code: int = -32600, **data: str) -> None:
        """Answer where there is no request."""
        self.send(client, {"id": None, "error": {"code": code, "message": text, "data": data}})

    def parse(self, line: bytes) -> Any:
        """Return the JSON value of the line."""
        return parse(line)

    def decide(self, request: Request) -> None:
        """Refuse what the ceiling, the profile or the module does not allow."""
        name = request.command
        if name not in self.enabled or name not in self.modules:
            raise Refusal(-32601, f"unknown command: {name}", kind="unknown-command")
        if self.commands and name not in self.commands:
            text = f"{name} is not among this agent's commands"
            raise Refusal(-32600, text, kind="denied", layer="profile")
        module = self.modules[name]
        arguments = read_arguments([os.fsdecode(word) for word in request.args])
        found = [rule for rule in self.rules(module) if matches(rule, arguments)]
        if "deny" in module and found:
            text = f"{name}: refused by the rule {found[0]}"
            raise Refusal(-32600, text, kind="denied", layer="module", rule=found[0])
        if "allow" in module and not found:
            raise Refusal(-32600, f"{name}: no rule allows it", kind="denied", layer="module")

    def rules(self, module: dict[str, Any]) -> list[str]:
        """Return the rules of a module, whichever kind they are."""
        listed: list[str] = module["deny" if "deny" in module else "allow"]["args"]
        return listed

    def perform(self, client: socket.socket, request: Request) -> dict[str, Any]:
        """Run the tool, or say that it would have been allowed; return the result."""
        if request.method == "check":
            return {"decision": "allowed"}
        return {"exit_code": self.execute(client, request)}

    def execute(self, client: socket.socket, request: Request) -> int:
        """Run the tool and return its exit status."""
        argv = [self.modules[request.command]["command"]["bin"].encode(), *request.args]
        run = self.run_type(argv, client=client, send=lambda *output: self.relay(client, *output))
        try:
            return run.complete()
        except OSError as error:
            if isinstance(error, BrokenPipeError | ConnectionResetError):
                raise ClientGoneError from error
            text = f"{request.command} could not be started: {error.strerror}"
            raise Refusal(-32603, text, kind="failed", hint="see the module's bin") from error

    def relay(self, client: socket.socket, stream: str, data: str) -> None:
        """Send a piece of output."""
        self.send(client, {"method": "output", "params": {"stream": stream, "data": data}})

    def error_id(self, known: Any) -> Any:
        """Return the id that an error carries, given the request's as far as it is known."""
        return known

    def error(self, refusal: Refusal) -> dict[str, Any]:
        """Return the error object of a refusal."""
        return refusal.error

    def send(self, client: socket.socket, message: dict[str, Any]) -> None:
        """Send one message."""
        client.sendall(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")

    def finish(self, client: socket.socket) -> None:
        """Do what is left after the response; the connection closes then."""


def main(kind: type[ReferenceDaemon] = ReferenceDaemon) -> None:
    """Serve as ``--config DIR --sockets DIR --agents FILE start`` says, until SIGTERM."""
    options = dict(zip(sys.argv[1:7:2], sys.argv[2:7:2], strict=True))
    ((name, entry),) = tomllib.loads(Path(options["--agents"]).read_text()).items()
    daemon = kind(Path(options["--config"]), Path(entry["path"]))
    directory = Path(options["--sockets"]) / name
    directory.mkdir()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(directory / "airlock.sock"))
        listener.listen(64)
        while True:
            client, _ = listener.accept()
            threading.Thread(target=daemon.serve, args=(client,), daemon=True).start()


if __name__ == "__main__":
    main()
