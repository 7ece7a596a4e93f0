"""A server that speaks AWS's protocols and checks every signature: moto.

Its first three requests are taken unsigned. They make a user who may do all that concerns S3 and
ask who he is, and nothing else.
"""

import importlib.util
import json
import subprocess
import sys
import urllib.parse
import urllib.request
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from .server import running_server

BUCKET = "faithful"

_POLICY = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Action": ["s3:*", "sts:GetCallerIdentity"], "Resource": "*"},
    ],
}


def why_not() -> str | None:
    """Say why there can be no server here, or None."""
    missing = [name for name in ("moto", "flask") if importlib.util.find_spec(name) is None]
    if missing:
        return f"{' and '.join(missing)} not installed in the environment of the tests"
    return None


@contextmanager
def running_aws(home: Path, folder: Path, *, port: int) -> Iterator[str]:
    """Serve at `port` while the context lasts; `home` gets the settings and keys of a client.

    Yields the address.
    """
    address = f"http://127.0.0.1:{port}"
    with running_server(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        port=port,
        said=folder / "moto-said",
        environment={"PATH": "/usr/bin:/bin", "INITIAL_NO_AUTH_ACTION_COUNT": "3"},
    ):
        _write_settings(home, address, _make_user(address))
        yield address


def fill_bucket(aws: str, environment: Mapping[str, str], objects: Mapping[str, bytes]) -> None:
    """Make the bucket BUCKET with these objects, by the aws command at `aws`."""
    calls = [(["mb", f"s3://{BUCKET}"], b"")]
    calls += [(["cp", "-", f"s3://{BUCKET}/{key}"], data) for key, data in objects.items()]
    for words, data in calls:
        subprocess.run(
            [aws, "s3", *words], env=environment, input=data, check=True, capture_output=True
        )


def _make_user(address: str) -> tuple[str, str]:
    """Return the id and the secret of a key of a new user."""
    _ask(address, Action="CreateUser", UserName="faithful")
    answer = _ask(address, Action="CreateAccessKey", UserName="faithful")
    document = json.dumps(_POLICY)
    _ask(
        address,
        Action="PutUserPolicy",
        UserName="faithful",
        PolicyName="s3",
        PolicyDocument=document,
    )
    found = {element.tag.rpartition("}")[2]: element.text for element in answer.iter()}
    return str(found["AccessKeyId"]), str(found["SecretAccessKey"])


def _ask(address: str, **parameters: str) -> ET.Element:
    # What the request is about is read from the scope of its signature, which nobody checks yet.
    scope = "AWS4-HMAC-SHA256 Credential=x/20240101/us-east-1/iam/aws4_request, Signature=x"
    request = urllib.request.Request(  # noqa: S310 - our own server on the loopback interface
        address,
        data=urllib.parse.urlencode({**parameters, "Version": "2010-05-08"}).encode(),
        headers={"Authorization": scope},
    )
    with urllib.request.urlopen(request) as answer:  # noqa: S310 - as above
        return ET.fromstring(answer.read())  # noqa: S314 - as above


def _write_settings(home: Path, address: str, key: tuple[str, str]) -> None:
    folder = home / ".aws"
    folder.mkdir()
    (folder / "config").write_text(
        f"[default]\nregion = us-east-1\nendpoint_url = {address}\ncli_pager =\n"
        "retry_mode = standard\nmax_attempts = 1\n"
    )
    (folder / "credentials").write_text(
        f"[default]\naws_access_key_id = {key[0]}\naws_secret_access_key = {key[1]}\n"
    )
