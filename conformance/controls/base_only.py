"""Implementations that know the base of the protocol alone, as the first releases did.

They keep to it, but have never heard of features, of `data` in errors, or of a directory for each
agent's socket.
"""

# ruff: noqa: ARG002 -- what the base does not know comes as an argument all the same

import signal
import sys
import tomllib
from pathlib import Path
from typing import Any

from reference_base_shim import BaseShim
from reference_channel import Channel
from reference_daemon import ReferenceDaemon
from reference_requests import Refusal, Request

_KNOWN = {
    "command": {"bin"},
    "deny": {"args"},
    "allow": {"args"},
    "env": {"strip", "set"},
    "args": {"append"},
    "exec": {"concurrent"},
}

_PROFILE = {"commands", "env"}

STRICT_RULES = {
    "git": ["credential", "-c", "--exec-path", "--upload-pack", "clone & -u", "push & --force"],
    "ssh": ["-A", "-D", "-F", "-J", "-L", "-R", "-W", "-o=ProxyCommand*", "-o=LocalCommand*"],
}
"""What the modules of `StrictDaemon` deny, by tool."""


class BaseOnlyDaemon(ReferenceDaemon):
    """Knows `exec` and `check`, and of modules what the first releases knew."""

    features = frozenset()

    def __init__(self, config: Path, agent: Path) -> None:
        super().__init__(config, agent)
        for path in agent.glob("commands/*.toml"):
            if not _is_known(tomllib.loads(path.read_text())):
                del self.modules[path.stem]

    def socket_path(self, sockets: Path, agent: str) -> Path:
        """Return where the socket is to be: beside those of the other agents."""
        return sockets / f"{agent}.sock"

    def parse(self, line: bytes) -> Any:
        """Return the JSON value of the line without the members that came with features."""
        value = super().parse(line)
        if isinstance(value, dict) and isinstance(value.get("params"), dict):
            for name in ("features", "tty", "env"):
                value["params"].pop(name, None)
        return value

    def require_descriptors(self, client: Channel, request: Request) -> None:
        """Take no notice of descriptors."""
        client.close_descriptors()

    def refuse(self, client: Channel, text: str, *, code: int = -32600, **data: str) -> None:
        """Answer where there is no request."""
        self.send(client, {"id": None, "error": {"code": code, "message": text}})
        client.flush()

    def error(self, refusal: Refusal) -> dict[str, Any]:
        """Return the error object of a refusal."""
        return {name: part for name, part in refusal.error.items() if name != "data"}


class StrictDaemon(BaseOnlyDaemon):
    """Ends where a profile has a table that it does not know, as the first implementation does.

    It has modules of its own, and takes no argument that is not text.
    """

    def __init__(self, config: Path, agent: Path) -> None:
        path = agent / "airlock.toml"
        for name in tomllib.loads(path.read_text()):
            if name not in _PROFILE:
                sys.exit(f"airlock: {path}: unknown table [{name}]; remove it")
        super().__init__(config, agent)
        own = {tool: {"deny": {"args": rules}} for tool, rules in STRICT_RULES.items()}
        self.modules = {**own, **self.modules}

    def decide(self, request: Request) -> None:
        """Refuse what is not UTF-8, which no string of JSON can be, and what rules refuse."""
        try:
            b"".join(request.args).decode()
        except UnicodeDecodeError as error:
            raise Refusal(-32602, "an argument is no string", kind="invalid-params") from error
        super().decide(request)


class BaseOnlyShim(BaseShim):
    """Asks by `exec`, prints what comes, and leaves signals their effect."""

    def __init__(self) -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    def fail(self, code: int, text: str, data: Any) -> int:
        """Print an error, of which nothing but code and message is known."""
        return super().fail(code, text, None)


def _is_known(module: dict[str, Any]) -> bool:
    return all(name in _KNOWN and set(table) <= _KNOWN[name] for name, table in module.items())
