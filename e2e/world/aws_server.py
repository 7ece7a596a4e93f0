"""A server for AWS's protocols that checks every signature: moto.

It accepts its first requests unsigned; they create users, each with a policy.
"""

import importlib.util
import json
import ssl
import sys
import urllib.parse
import urllib.request
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from .server import running_server

BUCKET = "faithful"

REGION = "eu-west-1"
NAMES = tuple(f"{name}.{REGION}.amazonaws.com" for name in ("s3", f"{BUCKET}.s3", "sts"))
"""The AWS host names that `running_cloud` serves."""
READER = "readonly"
"""A profile that may read and assume ROLE. The profile `default` may do anything."""
ROLE = "arn:aws:iam::123456789012:role/deploy"
"""A role with all permissions on S3."""

_LOCATION = (
    '<CreateBucketConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
    f"<LocationConstraint>{REGION}</LocationConstraint></CreateBucketConfiguration>"
)
_S3 = ("s3:*", "sts:GetCallerIdentity")
_READING = ("s3:Get*", "s3:List*", "sts:GetCallerIdentity", "sts:AssumeRole")


def why_not() -> str | None:
    """Return why no server can run here, or None."""
    missing = [name for name in ("moto", "flask") if importlib.util.find_spec(name) is None]
    if missing:
        return f"{' and '.join(missing)} not installed in the environment of the tests"
    return None


@contextmanager
def running_cloud(folder: Path, authority: Path, *, address: str) -> Iterator[dict[str, str]]:
    """Serve NAMES at port 443 of a loopback address, for the length of the context.

    The certificate in the file `authority`, with its key, is for NAMES and `address`. `folder` gets
    `config` and `credentials` as in ~/.aws. Yields their secrets by profile. The bucket BUCKET
    exists and is empty.
    """
    key = str(authority.with_suffix(".key"))
    words = ["-H", address, "-p", "443", "-c", str(authority), "-k", key]
    with running_server(
        [sys.executable, "-m", "moto.server", *words],
        port=443,
        address=address,
        said=folder / "moto-said",
        environment={"PATH": "/usr/bin:/bin", "INITIAL_NO_AUTH_ACTION_COUNT": "9"},
    ):
        at, trusts = f"https://{address}", ssl.create_default_context(cafile=str(authority))
        trust = json.dumps(_allow(["sts:AssumeRole"]))
        role = ROLE.rpartition("/")[2]
        _ask(at, trusts, Action="CreateRole", RoleName=role, AssumeRolePolicyDocument=trust)
        policy = {"PolicyName": role, "PolicyDocument": json.dumps(_allow(_S3))}
        _ask(at, trusts, Action="PutRolePolicy", RoleName=role, **policy)
        keys = {
            name: _make_user(at, name, actions, trusts)
            for name, actions in (("default", ["*"]), (READER, _READING))
        }
        _send(f"{at}/{BUCKET}", trusts, _LOCATION, scope=f"{REGION}/s3", method="PUT")
        profile = "[{}]\naws_access_key_id = {}\naws_secret_access_key = {}\n"
        text = "".join(profile.format(name, *key) for name, key in keys.items())
        (folder / "credentials").write_text(text)
        (folder / "config").write_text(f"[default]\nregion = {REGION}\n[profile {READER}]\n")
        yield {name: secret for name, (_, secret) in keys.items()}


def _make_user(
    address: str, name: str, actions: Sequence[str], trusts: ssl.SSLContext
) -> tuple[str, str]:
    """Create a user who may do these actions; return the id and the secret of a key."""
    _ask(address, trusts, Action="CreateUser", UserName=name)
    answer = _ask(address, trusts, Action="CreateAccessKey", UserName=name)
    policy = {"PolicyName": "own", "PolicyDocument": json.dumps(_allow(actions))}
    _ask(address, trusts, Action="PutUserPolicy", UserName=name, **policy)
    found = {element.tag.rpartition("}")[2]: element.text for element in answer.iter()}
    return str(found["AccessKeyId"]), str(found["SecretAccessKey"])


def _allow(actions: Sequence[str]) -> dict[str, object]:
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
    return {"Version": "2012-10-17", "Statement": [statement]}


def _ask(address: str, trusts: ssl.SSLContext, **parameters: str) -> ET.Element:
    form = urllib.parse.urlencode({**parameters, "Version": "2010-05-08"})
    return ET.fromstring(_send(address, trusts, form, scope="us-east-1/iam"))  # noqa: S314 - ours


def _send(
    url: str, trusts: ssl.SSLContext, body: str, *, scope: str, method: str = "POST"
) -> bytes:
    # moto reads service and region from the scope of the signature, which it does not check yet.
    account = f"AWS4-HMAC-SHA256 Credential=x/20240101/{scope}/aws4_request, Signature=x"
    kind = "text/xml" if body.startswith("<") else "application/x-www-form-urlencoded"
    headers = {"Authorization": account, "Content-Type": kind}
    request = urllib.request.Request(  # noqa: S310 - our own server on the loopback interface
        url, data=body.encode(), headers=headers, method=method
    )
    with urllib.request.urlopen(request, context=trusts) as answer:  # noqa: S310 - as above
        content: bytes = answer.read()
    return content
