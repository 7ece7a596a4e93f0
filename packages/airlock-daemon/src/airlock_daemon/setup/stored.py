"""Secrets in the daemon's state directory: credentials from `airlock login`, keys of agents.

A stored credential is the file `stored/NAME`, for every agent, or `stored/NAME@AGENT`, for one
agent, which has precedence. Each agent that uses an API has keys in `https/`: `AGENT.placeholders`
for its placeholders, and `AGENT.ca/key`, in its worker's directory, for its CA.

Beside them are the records of images at a docker engine, and the id by which objects there are this
installation's.
"""

import datetime as dt
import math
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack

import msgspec

from airlock_daemon.errors import AirlockError
from airlock_daemon.setup.state import State
from airlock_daemon.setup.writing import make_directory
from airlock_modules import is_name

LONGEST = 16_384
"""The maximum bytes of a credential."""
INSTALLATION = "docker/installation"
"""The file with this installation's id, made when an agent first calls a docker engine."""
NO_JSON = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""The exceptions of decoding invalid JSON."""

_FOLDER = "stored"
_KEY = re.compile(r"[0-9a-f]{64}")
_INSTALLATION_ID = re.compile(r"[0-9a-f]{8}")


class Stored(msgspec.Struct, frozen=True):
    """A stored credential, without its value. `agent` is None for all agents."""

    name: str
    agent: str | None = None

    @property
    def file(self) -> str:
        """Its file in the state directory."""
        return f"{_FOLDER}/{self.name}" + (f"@{self.agent}" if self.agent else "")


class BadCredential(ValueError):
    """An unusable credential; the message is a predicate: "has two lines"."""


def read_credential(data: bytes) -> str:
    """Extract the credential from a person's, file's or program's text, stripped of whitespace.

    Raises BadCredential.
    """
    if len(data) > LONGEST:
        raise BadCredential(f"has more than {LONGEST} bytes")
    try:
        value = data.decode().strip(" \t\r\n")
    except UnicodeDecodeError:
        raise BadCredential("is not UTF-8 text") from None
    if not value:
        raise BadCredential("is empty")
    if "\n" in value:
        raise BadCredential("has more than one line")
    if not value.isprintable():
        raise BadCredential("has control characters in it")
    return value


class _Exported(msgspec.Struct, rename="pascal"):
    """The output of `aws configure export-credentials --format process`."""

    version: int
    access_key_id: str
    secret_access_key: str
    session_token: str = ""
    expiration: dt.datetime | None = None
    account_id: str = ""


def read_aws_keys(data: bytes, now: float) -> tuple[str, float]:
    """AWS keys, as one line of JSON, and their lifetime in seconds.

    Raises BadCredential.
    """
    try:
        found = msgspec.json.decode(data, type=_Exported)
    except NO_JSON:
        raise BadCredential("is not what aws configure export-credentials prints") from None
    keys = {
        "id": found.access_key_id,
        "secret": found.secret_access_key,
        "token": found.session_token,
        "account": found.account_id,
    }
    texts = keys.values()
    if not keys["id"] or not keys["secret"] or not all(each.isascii() for each in texts):
        raise BadCredential("has no keys in it")
    if not "".join(texts).isprintable():
        raise BadCredential("has control characters in it")
    lasts_s = math.inf
    if found.expiration is not None:
        lasts_s = found.expiration.timestamp() - now
        if lasts_s <= 0:
            raise BadCredential("has ended")
    return msgspec.json.encode(keys).decode(), lasts_s


def list_stored(state: State) -> Iterator[Stored]:
    """All stored credentials, by name."""
    folder = state.path(_FOLDER)
    for entry in sorted(os.listdir(folder)) if os.access(folder, os.R_OK | os.X_OK) else ():
        name, _, agent = entry.partition("@")
        if is_name(name):
            yield Stored(name, agent or None)


def find_stored(state: State, name: str, agent: str) -> str | None:
    """The value that `agent` uses under `name`, None if nothing is stored.

    Raises AirlockError if it cannot be read.
    """
    for each in (Stored(name, agent), Stored(name)):
        text = state.read(each.file) if is_name(name) else None
        if text is not None:
            return text.removesuffix("\n")
    return None


def store(state: State, stored: Stored, value: str) -> None:
    """Store a value from `read_credential`, replacing another. Raises AirlockError."""
    with state.changing():
        state.write(stored.file, f"{value}\n")


def remove_stored(state: State, stored: Stored) -> bool:
    """Remove a value; False if there was none. Raises AirlockError."""
    if state.find(stored.file) is None:
        return False
    with state.changing():
        state.write(stored.file, None)
    return True


def find_placeholder_key(state: State, agent: str) -> bytes:
    """The 32 random bytes of an agent's placeholders, generated by the first call.

    Raises AirlockError.
    """
    name = _name_placeholders(agent)
    text = _find_random(state, name, size=32)
    if _KEY.fullmatch(text) is None:
        raise AirlockError(
            f"{state.path(name)} is not as it was written",
            hint="remove it, and start the containers of the agent again: they get new "
            "placeholders",
        )
    return bytes.fromhex(text)


def find_installation(state: State) -> str:
    """The id of this installation at docker engines, 8 hexadecimal digits, made by the first call.

    Raises AirlockError.
    """
    text = _find_random(state, INSTALLATION, size=4)
    if _INSTALLATION_ID.fullmatch(text) is None:
        raise AirlockError(
            f"{state.path(INSTALLATION)} is not as it was written",
            hint="write the number there that begins after the agent's name in the names that "
            "docker ps shows; or remove it, and what agents have made at the engine",
        )
    return text


def _find_random(state: State, name: str, *, size: int) -> str:
    """The text of a file, which at first is so many random bytes in hexadecimal digits."""
    text = state.read(name)
    if text is None:
        with state.changing():
            # Another process may have made it meanwhile.
            text = state.read(name)
            if text is None:
                text = f"{os.urandom(size).hex()}\n"
                state.write(name, text)
    return text.removesuffix("\n")


def make_worker_folder(state: State, agent: str) -> str:
    """The directory of an agent's worker, with its CA's key; created (0700) if missing.

    Raises AirlockError.
    """
    path = state.path(_name_folder(agent))
    if not os.path.isdir(path):
        with state.changing(), ExitStack() as undo:
            make_directory(path, mode=0o700, undo=undo)
            undo.pop_all()
    return path


def forget_agent(state: State, agent: str) -> None:
    """Remove all secrets of a removed agent. Raises AirlockError."""
    own = [each.file for each in list_stored(state) if each.agent == agent]
    kept = (*own, _name_placeholders(agent), name_image_record(agent))
    present = [name for name in kept if state.find(name) is not None]
    folder = state.find(_name_folder(agent))
    if present or folder is not None:
        with state.changing():
            for name in present:
                state.write(name, None)
            if folder is not None:
                shutil.rmtree(folder, ignore_errors=True)


def name_image_record(agent: str) -> str:
    """The file that has an agent's images of a docker engine."""
    return f"docker/{agent}.images"


def _name_folder(agent: str) -> str:
    return f"https/{agent}.ca"


def _name_placeholders(agent: str) -> str:
    return f"https/{agent}.placeholders"
