"""Servers that stand for services: GitHub, Anthropic, npm, PyPI, a private index, and AWS.

AWS is moto. All others are one server on an address of the loopback, at port 443. A daemon sees
their names there in an /etc/hosts of its own; nobody else does.
"""

import base64
import email
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import aws_server
from .engine import WORKER
from .github_api import answer_github
from .npm_registry import Registry
from .web_server import Answer, Asked, Page, WebServer, running_web

ADDRESS = f"127.77.{WORKER}.1"
GITHUB = "api.github.com"
ANTHROPIC = "api.anthropic.com"
NPM = "registry.npmjs.org"
PYPI = "pypi.org"
FILES = "files.pythonhosted.org"
UPLOAD = "upload.pypi.org"
INDEX = "index.airlock.test"
MIRROR = "mirror.airlock.test"
"""Has providers of Terraform (its network mirror protocol), for whoever asks."""
NAMES = (GITHUB, ANTHROPIC, NPM, PYPI, FILES, UPLOAD, INDEX, MIRROR)
USER = "reader"
"""The account of the private index."""
ANSWER = "Hello Ada."
"""What Anthropic's model says to a program that asks it as Claude Code does."""
CLOUD = f"127.77.{WORKER}.2"
"""Where AWS is."""


@dataclass(slots=True, kw_only=True)
class Services:
    """What the services know: the credentials that they want, and what they have to give."""

    tokens: dict[str, str]
    """The credential of each host that wants one."""
    registry: Registry
    wheels: dict[str, bytes] = field(default_factory=dict)
    """The Python packages of both indexes, by the names of their files."""
    mirror: dict[str, dict[str, object] | bytes] = field(default_factory=dict)
    """What the mirror has, by the path."""
    heard: threading.Event = field(default_factory=threading.Event)
    """Set by a question for the models: the client has had the last word of a stream."""

    def answer(self, asked: Asked) -> Answer:
        """Answer as the service of that host does."""
        host = asked.host.partition(":")[0]
        if host == GITHUB:
            return answer_github(asked, token=self.tokens[GITHUB])
        if host == ANTHROPIC:
            return self._answer_anthropic(asked)
        if host == NPM:
            return self.registry.answer(asked)
        if host == UPLOAD:
            return self._answer_upload(asked)
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

    def _stream(self, text: str, *, is_held: bool = False) -> Iterator[bytes]:
        """The text, a word an event; if it `is_held`, the next waits until the client has one."""
        usage = {"input_tokens": 1, "output_tokens": 1}
        message = {"id": "m", "type": "message", "role": "assistant", "model": "claude"}
        yield _event("message_start", message={**message, "content": [], "usage": usage})
        block = {"type": "text", "text": ""}
        yield _event("content_block_start", index=0, content_block=block)
        for word in text.split(" "):
            delta = {"type": "text_delta", "text": f"{word} "}
            yield _event("content_block_delta", index=0, delta=delta)
            if is_held and not self.heard.wait(120):
                return
            self.heard.clear()
        yield _event("content_block_stop", index=0)
        yield _event("message_delta", delta={"stop_reason": "end_turn"}, usage=usage)
        yield _event("message_stop")

    def _answer_upload(self, asked: Asked) -> Answer:
        if asked.account != _basic("__token__", self.tokens[UPLOAD]):
            return 403, "Invalid or non-existent authentication information."
        form = email.message_from_bytes(
            f"Content-Type: {asked.headers['content-type']}\r\n\r\n".encode() + asked.body
        )
        for part in form.walk():
            if name := part.get_filename():
                content = part.get_payload(decode=True)
                self.wheels[name] = content if isinstance(content, bytes) else b""
        return 200, ""

    def _answer_index(self, asked: Asked) -> Answer:
        if asked.path == "/simple/echo":
            return 200, f"you are {asked.account}"
        parts = asked.path.strip("/").split("/")
        if parts[0] == "packages" or asked.host.startswith(MIRROR):
            found: Any = self.wheels.get(parts[-1]) or self.mirror.get(asked.path)
            return (404, "no such file") if found is None else (200, found)
        names = [each for each in self.wheels if _project(each) == parts[-1]]
        at = FILES if asked.host.startswith(PYPI) else asked.host
        links = (f'<a href="https://{at}/packages/{name}">{name}</a>' for name in names)
        return 200, Page("".join(links))


@contextmanager
def running_services(folder: Path, services: Services) -> Iterator[WebServer]:
    """Serve for as long as the context lasts. `folder` is empty.

    The server's certificate is good for AWS, too.
    """
    names = [*(f"DNS:{name}" for name in (*NAMES, *aws_server.NAMES)), f"IP:{CLOUD}"]
    with running_web(folder, services.answer, names=names, address=ADDRESS, port=443) as server:
        yield server


def _event(kind: str, **more: object) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **more})}\n\n".encode()


def _basic(user: str, password: str) -> str:
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


def _project(file: str) -> str:
    return re.sub("[_.]", "-", file.partition("-")[0].lower())
