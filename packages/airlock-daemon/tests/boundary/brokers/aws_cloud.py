"""An AWS that checks signatures: moto behind TLS, at the names of AWS by a proxy of the human's."""

import functools
import importlib.util
import json
import os
import socket
import ssl
import subprocess
import sys
import threading
import urllib.parse
import urllib.request
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec

REGION = "eu-west-1"
BUCKET = "acme-data"
_KEYS = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
ROLE = "arn:aws:iam::123456789012:role/deploy"
_POLICY = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}],
}


def why_not() -> str | None:
    """Say why there is no such server here, or None."""
    missing = [name for name in ("moto", "flask", "botocore") if not importlib.util.find_spec(name)]
    return f"{' and '.join(missing)} not installed" if missing else None


class Cloud(msgspec.Struct, frozen=True):
    """`proxy` leads every name to the one server. `keys` are real ones, id and secret."""

    proxy: str
    keys: tuple[str, str]

    @property
    def secret(self) -> str:
        """The credential as the daemon gives it to a worker."""
        return json.dumps({"id": self.keys[0], "secret": self.keys[1]})


@contextmanager
def running_cloud(folder: Path, certificate: Path, authorities: Path) -> Iterator[Cloud]:
    """A cloud with a user and the role ROLE, while the context lasts.

    `certificate` is a file with a certificate and its key, which `authorities` verify.
    """
    with _serving(folder, certificate) as port, _proxying(port) as proxy:
        keys = _make_user(port, ssl.create_default_context(cafile=str(authorities)))
        cloud = Cloud(f"http://127.0.0.1:{proxy}", keys)
        yield cloud


def make_client(
    service: str,
    keys: tuple[str, ...],
    *,
    proxy: str,
    authorities: Path,
    region: str = REGION,
    **settings: Any,
) -> Any:
    """A client of boto3, as the aws command is one."""
    from botocore.config import Config  # noqa: PLC0415 - not in every environment

    config = Config(proxies={"https": proxy}, retries={"max_attempts": 0}, **settings)
    named = zip(_KEYS, keys, strict=False)
    return _make_session().client(
        service, region_name=region, verify=str(authorities), config=config, **dict(named)
    )


@functools.cache
def _make_session() -> Any:
    """What clients are made by, which reads the descriptions of services once."""
    import boto3  # noqa: PLC0415 - not in every environment

    return boto3.session.Session()


@contextmanager
def _serving(folder: Path, certificate: Path) -> Iterator[int]:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
    said = (folder / "moto-said").open("wb")
    words = ["-H", "127.0.0.1", "-p", str(port), "-c", str(certificate), "-k", str(certificate)]
    environment = {"PATH": os.defpath, "INITIAL_NO_AUTH_ACTION_COUNT": "5"}
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", *words],
        env=environment,
        stdout=said,
        stderr=subprocess.STDOUT,
    )
    try:
        while process.poll() is None:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
        yield port
    finally:
        process.terminate()
        process.wait()
        said.close()


@contextmanager
def _proxying(port: int) -> Iterator[int]:
    """A proxy that takes every CONNECT to the server at `port`."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=carry, args=(client,), daemon=True).start()

    def carry(client: socket.socket) -> None:
        with client, suppress(OSError), socket.create_connection(("127.0.0.1", port)) as server:
            head = b""
            while b"\r\n\r\n" not in head:
                head += client.recv(4096)
            client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            back = threading.Thread(target=copy, args=(server, client), daemon=True)
            back.start()
            copy(client, server)
            back.join()

    def copy(one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while data := one.recv(1 << 16):
                other.sendall(data)
            other.shutdown(socket.SHUT_WR)

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.close()


def _make_user(port: int, context: ssl.SSLContext) -> tuple[str, str]:
    """Make a user who may do anything, and the role; its key."""
    _ask(port, context, Action="CreateUser", UserName="human")
    answer = _ask(port, context, Action="CreateAccessKey", UserName="human")
    document = json.dumps(_POLICY)
    parameters = {"PolicyName": "all", "PolicyDocument": document}
    _ask(port, context, Action="PutUserPolicy", UserName="human", **parameters)
    trust = {"AssumeRolePolicyDocument": document}
    _ask(port, context, Action="CreateRole", RoleName="deploy", **trust)
    _ask(port, context, Action="PutRolePolicy", RoleName="deploy", **parameters)
    found = {element.tag.rpartition("}")[2]: element.text for element in answer.iter()}
    return str(found["AccessKeyId"]), str(found["SecretAccessKey"])


def _ask(port: int, context: ssl.SSLContext, **parameters: str) -> ET.Element:
    # What it is about is read from the scope of its signature, which nobody checks yet.
    scope = "AWS4-HMAC-SHA256 Credential=x/20240101/us-east-1/iam/aws4_request, Signature=x"
    request = urllib.request.Request(
        f"https://127.0.0.1:{port}",
        data=urllib.parse.urlencode({**parameters, "Version": "2010-05-08"}).encode(),
        headers={"Authorization": scope},
    )
    with urllib.request.urlopen(request, context=context) as answer:  # noqa: S310 - our own server
        return ET.fromstring(answer.read())  # noqa: S314 - as above
