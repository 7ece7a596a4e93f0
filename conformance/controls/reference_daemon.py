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
from contextlib import closing
from pathlib import Path
from typing import Any

from reference_channel import Channel
from reference_descriptors import is_passable
from reference_features import FEATURES, as_message_data, is_named, negotiate, signal_name
from reference_requests import Refusal, Request, parse, require_request
from reference_rules import matches, read_arguments
from reference_run import ClientGoneError, Run


class ReferenceDaemon:
    """Serves one agent. Its methods are the steps that a broken daemon does otherwise."""

    features = FEATURES
    max_request_bytes = 4_194_304
    stdin_credit = 65_536
    run_type = Run

    def __init__(self, config: Path, agent: Path) -> None:
        settings = tomllib.loads((config / "config.toml").read_text())
        limits = settings.get("limits", {})
        self.enabled = settings["commands"]["enable"]
        self.request_s = float(limits.get("request_s", 10))
        self.places = threading.BoundedSemaphore(limits.get("connections", 1024))
        self.profile = tomllib.loads((agent / "airlock.toml").read_text())
        self.commands = self.profile["commands"]
        self.modules = {
            path.stem: tomllib.loads(path.read_text()) for path in agent.glob("commands/*.toml")
        }

    def socket_path(self, sockets: Path, agent: str) -> Path:
        """Return where the socket of an agent is to be, in a directory that is there."""
        directory = sockets / agent
        directory.mkdir()
        return directory / "airlock.sock"

    def serve(self, connection: socket.socket) -> None:
        """Serve one connection to its end."""
        with closing(Channel(connection)) as client:
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

    def answer(self, client: Channel, line: bytes) -> None:
        """Do what a line asks for and send the response."""
        request = None
        try:
            request = require_request(self.parse(line))
            self.require_descriptors(client, request)
            self.decide(request)
            result = self.perform(client, request)
        except Refusal as refusal:
            known = refusal.request_id if request is None else request.id
            self.send(client, {"id": self.error_id(known), "error": self.error(refusal)})
        else:
            self.send(client, {"id": request.id, "result": result})
        client.flush()

    def read_line(self, client: Channel) -> bytes | None:
        """Return the first line, or None where there is none and the client knows why."""
        client.connection.settimeout(self.request_s)
        while (line := client.next_line()) is None:
            if client.buffered > self.max_request_bytes:
                self.refuse(client, "the request is too large", code=-32700, kind="parse-error")
                return None
            try:
                is_there = client.receive()
            except TimeoutError:
                self.refuse(client, "no request came in time", kind="denied", layer="limit")
                return None
            if not is_there and client.buffered:
                self.refuse(client, "half a request", code=-32700, kind="parse-error")
            if not is_there:
                return None
        client.connection.settimeout(None)
        return line

    def refuse(self, client: Channel, text: str, *, code: int = -32600, **data: str) -> None:
        """Answer where there is no request."""
        self.send(client, {"id": None, "error": {"code": code, "message": text, "data": data}})
        client.flush()

    def parse(self, line: bytes) -> Any:
        """Return the JSON value of the line."""
        return parse(line)

    def require_descriptors(self, client: Channel, request: Request) -> None:
        """Refuse descriptors that the protocol does not have."""
        found = client.descriptors
        if not found and not client.strays:
            return
        is_wanted = request.method == "exec" and "fds" in (request.features or ())
        if client.strays or not is_wanted or len(found) != 3 or not all(map(is_passable, found)):
            client.close_descriptors()
            raise Refusal(-32600, "not three permitted descriptors", kind="invalid-request")

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

    def perform(self, client: Channel, request: Request) -> dict[str, Any]:
        """Run the tool, or say that it would have been allowed; return the result."""
        if request.method == "check":
            return {"decision": "allowed"}
        return self.execute(client, request)

    def negotiate(self, client: Channel, request: Request) -> frozenset[str]:
        """Return the features to use."""
        return self.features & negotiate(request, has_descriptors=bool(client.descriptors))

    def start(self, client: Channel, request: Request, in_use: frozenset[str]) -> None:
        """Say which features are in use, to a client that named some."""
        client.drop_received()
        if request.features is None:
            return
        params: dict[str, Any] = {"features": sorted(in_use)}
        if "stdin" in in_use:
            params["stdin_credit"] = self.stdin_credit
        self.send(client, {"method": "start", "params": params})

    def environment(self, request: Request, in_use: frozenset[str]) -> dict[str, str | bytes]:
        """Return the variables of the tool."""
        settings: dict[str, Any] = self.modules[request.command].get("env", {})
        fixed: dict[str, str | bytes] = settings.get("set", {})
        built: dict[str, str | bytes] = {"PATH": os.environ.get("PATH", "")}
        term = (request.tty or {}).get("term")
        if term is not None and in_use & {"tty", "fds"}:
            built["TERM"] = term
        patterns = settings.get("forward", []) if "env" in in_use else []
        built |= {name: value for name, value in request.env.items() if is_named(name, patterns)}
        built |= self.profile.get("env", {}).get("set", {})
        for name in settings.get("strip", []):
            built.pop(name, None)
        return built | fixed

    def execute(self, client: Channel, request: Request) -> dict[str, Any]:
        """Run the tool and return the result."""
        in_use = self.negotiate(client, request)
        run = self.run_type(
            [self.modules[request.command]["command"]["bin"].encode(), *request.args],
            channel=client,
            in_use=in_use,
            tty=request.tty,
            environment=self.environment(request, in_use),
            relay=lambda stream, data: self.relay(client, stream, data),
            grant=lambda count: self.grant(client, count),
            credit=self.stdin_credit,
        )
        try:
            code = run.complete(lambda: self.start(client, request, in_use))
        except OSError as error:
            if isinstance(error, BrokenPipeError | ConnectionResetError):
                raise ClientGoneError from error
            text = f"{request.command} could not be started: {error.strerror}"
            raise Refusal(-32603, text, kind="failed", hint="see the module's bin") from error
        return self.result(code, in_use)

    def result(self, code: int, in_use: frozenset[str]) -> dict[str, Any]:
        """Return the result of a tool, of which a negative status is a signal."""
        if code >= 0:
            return {"exit_code": code}
        named = {"signal": signal_name(-code)} if "exit-signal" in in_use else {}
        return {"exit_code": 128 - code, **named}

    def grant(self, client: Channel, count: int) -> None:
        """Let the client send more of stdin."""
        self.send(client, {"method": "credit", "params": {"bytes": count}})

    def relay(self, client: Channel, stream: str, data: bytes | str) -> None:
        """Send a piece of output: bytes where the client can take them, else text."""
        params = {"stream": stream}
        if isinstance(data, str):
            params["data"] = data
        else:
            params |= as_message_data(data)
        self.send(client, {"method": "output", "params": params})

    def error_id(self, known: Any) -> Any:
        """Return the id that an error carries, given the request's as far as it is known."""
        return known

    def error(self, refusal: Refusal) -> dict[str, Any]:
        """Return the error object of a refusal."""
        return refusal.error

    def send(self, client: Channel, message: dict[str, Any]) -> None:
        """Queue one message and send as much as the client takes at once."""
        client.queue(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
        client.flush(blocking=False)

    def finish(self, client: Channel) -> None:
        """Do what is left after the response; the connection closes then."""


def main(kind: type[ReferenceDaemon] = ReferenceDaemon) -> None:
    """Serve as ``--config DIR --sockets DIR --agents FILE start`` says, until SIGTERM."""
    options = dict(zip(sys.argv[1:7:2], sys.argv[2:7:2], strict=True))
    ((name, entry),) = tomllib.loads(Path(options["--agents"]).read_text()).items()
    daemon = kind(Path(options["--config"]), Path(entry["path"]))
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(daemon.socket_path(Path(options["--sockets"]), name)))
        listener.listen(64)
        while True:
            client, _ = listener.accept()
            threading.Thread(target=daemon.serve, args=(client,), daemon=True).start()


if __name__ == "__main__":
    main()
