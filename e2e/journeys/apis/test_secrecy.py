"""Where no credential may be while its API is used, and while it fails or ends."""

import json
import secrets
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from e2e.world.api_services import INDEX
from e2e.world.engine import docker
from e2e.world.running import Running

from .place import Place

NAME = "airlock-e2e-apis"
MESSAGES = [{"role": "user", "content": "one two three"}]
QUESTION = json.dumps({"stream": True, "messages": MESSAGES})
STREAM = f"""\
curl -sN -H "x-api-key: $ANTHROPIC_API_KEY" -d {shlex.quote(QUESTION)} \
    https://api.anthropic.com/v1/messages"""
ASK = 'curl -s -w "%{http_code}\\n" "$INDEX"; echo "curl ended with $?"'
CREDENTIALS = ("authorization", "x-api-key")
"""The headers that have one at a service."""


def test_a_tool_amid_a_request_has_the_placeholder_alone(place: Place) -> None:
    """In the memory and variables of each process; not when a source fails meanwhile, either."""
    home = place.person.account.home
    locked = home / "locked"
    with _streaming(place) as stream:
        stream.wait_for('"one ')
        found = b"".join(_read_memory(pid) for pid in _list_processes())
        given = (home / ".config/airlock/sockets/my/client.env").read_bytes().splitlines()
        assert dict(line.split(b"=", 1) for line in given)[b"ANTHROPIC_API_KEY"] in found
        assert place.find_leaks(found) == []
        place.person.account.write(locked, "")
        place.person.run("airlock-daemon reload", cwd=place.project.path)
        # What the source has printed before it failed is nowhere.
        said = place.run(ASK)
        assert "airlock: there is no credential for api.index now" in said
        locked.unlink()
        # After a failure a command is not run again at once, but for new files.
        place.person.run("airlock-daemon reload", cwd=place.project.path)
        assert "200\n" in place.run(ASK)
        for word in ("two ", "three "):
            place.services.heard.set()
            stream.wait_for(f'"{word}')
        place.services.heard.set()
        stream.wait_for("message_stop")
    assert place.find_leaks(stream.heard.encode()) == []


def test_a_credential_that_has_ended_is_not_shown(place: Place) -> None:
    """Where the service refuses it, and where it sends it back."""
    good = place.services.tokens[INDEX]
    place.services.tokens[INDEX] = secrets.token_hex(20)
    try:
        assert "401\n" in place.run(ASK)
    finally:
        place.services.tokens[INDEX] = good
    # An answer of which a part had come before the credential in it is cut off.
    said = place.run(f"{{ {ASK.replace('$INDEX', '${INDEX}echo')}; }} || true")
    assert "you are" not in said


def test_services_get_a_credential_in_its_header_alone(place: Place) -> None:
    """No tool has sent one, in whatever it sent, and each was put in where it belongs."""
    place.run("gh api user; curl -s $INDEX")
    for asked in place.server.asked:
        others = {name: each for name, each in asked.headers.items() if name not in CREDENTIALS}
        sent = f"{asked.path} {asked.query} {others}".encode() + asked.body
        assert place.find_leaks(sent) == []
    assert place.server.asked


@contextmanager
def _streaming(place: Place) -> Iterator[Running]:
    """A container that is in the middle of an answer."""
    place.services.heard.clear()
    options = (f"--docker-arg=--name={NAME}", "--docker-arg=--label=airlock.e2e")
    line = shlex.join(place.words(STREAM, *options))
    variables = [f"{name}={value}" for name, value in place.person.environment.items()]
    words = place.person.shell(f"cd {place.project.path}; exec {line}")
    with Running(("env", "-i", *variables, *words)) as running:
        yield running
        running.wait()


def _list_processes() -> list[int]:
    """The container's processes, by their ids on this host."""
    return [int(each) for each in docker("top", NAME, "-o", "pid").succeeded().stdout.split()[1:]]


def _read_memory(pid: int) -> bytes:
    """What a process can read in its memory, and its variables and words."""
    folder = Path(f"/proc/{pid}")
    parts = [(folder / "environ").read_bytes(), (folder / "cmdline").read_bytes()]
    with (folder / "mem").open("rb", buffering=0) as memory:
        for line in (folder / "maps").read_text().splitlines():
            place, mode = line.split()[:2]
            if mode.startswith("rw"):
                first, last = (int(each, 16) for each in place.split("-"))
                memory.seek(first)
                parts.append(memory.read(last - first))
    # Most of it was never written to.
    return b"".join(parts).replace(bytes(64), b"")
