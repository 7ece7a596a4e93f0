"""Stand-in servers for services: GitHub, models, npm, PyPI, a private index, and clouds.

AWS is moto. All others are one server on a loopback address, at port 443. Only a daemon resolves
their names to it, by its own /etc/hosts.
"""

import base64
import email
import json
import re
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from pathlib import Path

from . import aws_server
from .engine import WORKER
from .github_api import answer_github
from .npm_registry import Registry
from .terraform import REGISTRY
from .web_server import Answer, Asked, Bodiless, Page, WebServer, running_web

ADDRESS = f"127.77.{WORKER}.1"
GITHUB = "api.github.com"
ANTHROPIC = "api.anthropic.com"
OPENAI = "api.openai.com"
STORAGE = "storage.googleapis.com"
NPM = "registry.npmjs.org"
PYPI = "pypi.org"
FILES = "files.pythonhosted.org"
UPLOAD = "upload.pypi.org"
INDEX = "index.airlock.test"
DOWNLOADS = "downloads.airlock.test"
"""The host of the archives that Terraform's registry names."""
OPEN = (REGISTRY, DOWNLOADS)
"""Hosts that require no credential."""
NAMES = (GITHUB, ANTHROPIC, OPENAI, STORAGE, NPM, PYPI, FILES, UPLOAD, INDEX, *OPEN)
WRITTEN = "acme-out"
"""A bucket of Google Cloud Storage."""
USER = "reader"
"""The account of the private index."""
ANSWER = "Hello Ada."
"""The answer of Anthropic's model to a program that asks as Claude Code does."""
CLOUD = f"127.77.{WORKER}.2"
"""The address of AWS."""


@dataclass(slots=True, kw_only=True)
class Services:
    """The state of the services: the credentials that they require, and their content."""

    tokens: dict[str, str]
    """The credential of each host that requires one."""
    registry: Registry
    wheels: dict[str, bytes] = field(default_factory=dict)
    """The Python packages of both indexes, by file name."""
    files: dict[str, object] = field(default_factory=dict)
    """The content of the hosts in OPEN, by host and path."""
    objects: dict[str, bytes] = field(default_factory=dict)
    """The objects of WRITTEN, by their names in a URL."""
    heard: threading.Event = field(default_factory=threading.Event)
    """Set by a request for the models: the client has received the last word of a stream."""

    def answer(self, asked: Asked) -> Answer:
        """Answer as the service of that host does."""
        host = asked.host.partition(":")[0]
        by_host: dict[str, Callable[[Asked], Answer]] = {
            GITHUB: lambda asked: answer_github(asked, token=self.tokens[GITHUB]),
            ANTHROPIC: self._answer_anthropic,
            OPENAI: self._answer_openai,
            STORAGE: self._answer_storage,
            NPM: self.registry.answer,
            UPLOAD: self._answer_upload,
        }
        if host in by_host:
            return by_host[host](asked)
        if host in OPEN:
            found = self.files.get(f"{host}{asked.path}")
            status = 204 if isinstance(found, Bodiless) else 200
            return (404, "no such file") if found is None else (status, found)
        if host == INDEX and asked.account != _basic(USER, self.tokens[INDEX]):
            return 401, "a password is needed"
        return self._answer_index(asked)

    def _answer_anthropic(self, asked: Asked) -> Answer:
        # SDKs differ in the header.
        given = asked.headers.get("x-api-key", asked.account.removeprefix("Bearer "))
        if given != self.tokens[ANTHROPIC]:
            return 401, {"type": "error", "error": {"type": "authentication_error"}}
        if asked.path == "/v1/models":
            self.heard.set()
            return 200, {"data": [], "has_more": False}
        if asked.path != "/v1/messages":
            return 404, {"type": "error", "error": {"type": "not_found_error"}}
        question = json.loads(asked.body)
        content = question["messages"][0]["content"]
        if not question.get("stream"):
            text = {"type": "text", "text": ANSWER}
            message = {"id": "m", "type": "message", "role": "assistant", "model": "claude"}
            usage = {"input_tokens": 1, "output_tokens": 1}
            return 200, {**message, "content": [text], "stop_reason": "end_turn", "usage": usage}
        if isinstance(content, str):
            return 200, self._stream(content, is_held=True)
        return 200, self._stream(ANSWER)

    def _say(self, text: str, *, is_held: bool) -> Iterator[str]:
        """Yield the words of a text; if it `is_held`, each after the client has got the last."""
        for word in text.split(" "):
            yield f"{word} "
            if is_held and not self.heard.wait(120):
                return
            self.heard.clear()

    def _answer_openai(self, asked: Asked) -> Answer:
        if asked.account != f"Bearer {self.tokens[OPENAI]}":
            return 401, {"error": {"message": "Incorrect API key provided"}}
        if asked.path == "/v1/models":
            self.heard.set()
            return 200, {"object": "list", "data": []}
        return 200, self._chat(json.loads(asked.body)["messages"][0]["content"])

    def _chat(self, text: str) -> Iterator[bytes]:
        for word in self._say(text, is_held=True):
            choice = {"index": 0, "delta": {"content": word}, "finish_reason": None}
            piece = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "gpt"}
            yield f"data: {json.dumps({**piece, 'choices': [choice]})}\n\n".encode()
        yield b"data: [DONE]\n\n"

    def _answer_storage(self, asked: Asked) -> Answer:
        if asked.account != f"Bearer {self.tokens[STORAGE]}":
            return 401, {"error": {"code": 401, "message": "Invalid Credentials"}}
        if asked.method == "POST" and asked.path == f"/upload/storage/v1/b/{WRITTEN}/o":
            about, content = _parts(asked)
            name = json.loads(about)["name"]
            self.objects[urllib.parse.quote(name, safe="")] = content
            return 200, {"name": name, "bucket": WRITTEN, "size": str(len(content))}
        name = asked.path.removeprefix(f"/download/storage/v1/b/{WRITTEN}/o/")
        return (200, self.objects[name]) if name in self.objects else (404, "No such object")

    def _stream(self, text: str, *, is_held: bool = False) -> Iterator[bytes]:
        """Yield the text as a message, one event per word."""
        usage = {"input_tokens": 1, "output_tokens": 1}
        message = {"id": "m", "type": "message", "role": "assistant", "model": "claude"}
        yield _event("message_start", message={**message, "content": [], "usage": usage})
        block = {"type": "text", "text": ""}
        yield _event("content_block_start", index=0, content_block=block)
        for word in self._say(text, is_held=is_held):
            delta = {"type": "text_delta", "text": word}
            yield _event("content_block_delta", index=0, delta=delta)
        yield _event("content_block_stop", index=0)
        yield _event("message_delta", delta={"stop_reason": "end_turn"}, usage=usage)
        yield _event("message_stop")

    def _answer_upload(self, asked: Asked) -> Answer:
        if asked.account != _basic("__token__", self.tokens[UPLOAD]):
            return 403, "Invalid or non-existent authentication information."
        for part in _read_form(asked).walk():
            if name := part.get_filename():
                content = part.get_payload(decode=True)
                self.wheels[name] = content if isinstance(content, bytes) else b""
        return 200, ""

    def _answer_index(self, asked: Asked) -> Answer:
        if asked.path == "/simple/echo":
            return 200, f"you are {asked.account}"
        parts = asked.path.strip("/").split("/")
        if parts[0] == "packages":
            found = self.wheels.get(parts[-1])
            return (404, "no such file") if found is None else (200, found)
        names = [each for each in self.wheels if _project(each) == parts[-1]]
        at = FILES if asked.host.startswith(PYPI) else asked.host
        links = (f'<a href="https://{at}/packages/{name}">{name}</a>' for name in names)
        return 200, Page("".join(links))


@contextmanager
def running_services(
    folder: Path, services: Services, *, address: str = ADDRESS, cloud: str = CLOUD
) -> Iterator[WebServer]:
    """Serve for the length of the context. `folder` is empty.

    The server's certificate is also valid for AWS at `cloud`.
    """
    names = [*(f"DNS:{name}" for name in (*NAMES, *aws_server.NAMES)), f"IP:{cloud}"]
    with running_web(folder, services.answer, names=names, address=address, port=443) as server:
        yield server


def write_hosts(file: Path, *, address: str = ADDRESS, cloud: str = CLOUD) -> Path:
    """Write this host's /etc/hosts with the services added, and return the file."""
    lines = [f"{address} {name}\n" for name in NAMES]
    lines += [f"{cloud} {name}\n" for name in aws_server.NAMES]
    file.write_text(Path("/etc/hosts").read_text() + "".join(lines))
    return file


def _event(kind: str, **more: object) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **more})}\n\n".encode()


def _read_form(asked: Asked) -> Message:
    return email.message_from_bytes(
        f"Content-Type: {asked.headers['content-type']}\r\n\r\n".encode() + asked.body
    )


def _parts(asked: Asked) -> list[bytes]:
    """Return the parts of a multipart body."""
    found = (part.get_payload(decode=True) for part in _read_form(asked).walk())
    return [each for each in found if isinstance(each, bytes)]


def _basic(user: str, password: str) -> str:
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


def _project(file: str) -> str:
    return re.sub("[_.]", "-", file.partition("-")[0].lower())
