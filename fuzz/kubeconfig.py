"""Target: what kubectl and its plugins print: a kubeconfig or an ExecCredential in JSON, or PEM.

A cluster is at one plain place, and what opens it has nothing but a token and blocks of PEM. What
is refused is one line.
"""

import json
import re

from airlock_daemon.setup.credential import Access, BadCredential
from airlock_daemon.setup.kubeconfig import Cluster
from fuzz.target import BrokenPromiseError, Target, require_one_line

_MAX_LENGTH = 4096
_NOW = 1_790_000_000.0
_SERVER = re.compile(r"https://[a-z0-9._-]+:[0-9]{1,5}(?:/[A-Za-z0-9._~-]+)*")
_BLOCKS = re.compile(r"(?:-----(?:BEGIN|END) [A-Z ]+-----|[A-Za-z0-9+/=\s]+)*")


def _check(data: bytes) -> None:
    try:
        cluster = Cluster.read(data)
    except BadCredential as refused:
        require_one_line(str(refused))
    else:
        if not _SERVER.fullmatch(cluster.server) or not _BLOCKS.fullmatch(cluster.ca):
            raise BrokenPromiseError(f"{data!a} leads to {cluster!a}")
        if json.loads(f'"{cluster.namespace}"') != cluster.namespace:
            raise BrokenPromiseError(f"{data!a} has the namespace {cluster.namespace!a}")
    for read in (
        Cluster.read_user,
        lambda each: Access.of_exec_credential(each, _NOW),
        Access.of_certificate,
    ):
        try:
            access = read(data)
        except BadCredential as refused:
            require_one_line(str(refused))
        else:
            if isinstance(access, Access):
                _check_access(access)


def _check_access(access: Access) -> None:
    token = access.token
    if not token.isascii() or any(each.isspace() for each in token):
        raise BrokenPromiseError(f"{token!a} is a token")
    if not (token or access.certificate) or not _BLOCKS.fullmatch(access.certificate):
        raise BrokenPromiseError(f"{access.certificate!a} is a certificate")
    if access.certificate and access.certificate.count("PRIVATE KEY-----") != len(("BEGIN", "END")):
        raise BrokenPromiseError(f"{access.certificate!a} has not one key")
    if access.lasts_s <= 0:
        raise BrokenPromiseError(f"{access!a} has ended")


def _make_seeds() -> tuple[bytes, ...]:
    pem = "-----BEGIN CERTIFICATE-----\nTUlJ\n-----END CERTIFICATE-----\n"
    key = "-----BEGIN EC PRIVATE KEY-----\nTUlJ\n-----END EC PRIVATE KEY-----\n"
    version = "client.authentication.k8s.io/v1"
    plugin = {"apiVersion": version, "command": "aws", "args": ["x"], "provideClusterInfo": True}
    users = ({"token": "t"}, {"tokenFile": "/t"}, {"exec": plugin}, {"as": "x", "token": "t"})
    contexts = [{"name": "w", "context": {"cluster": "c", "user": "u", "namespace": "n"}}]
    clusters = [{"name": "c", "cluster": {"server": "https://a.example.com:6443/k8s"}}]
    begin = {"current-context": "w", "contexts": contexts, "clusters": clusters}
    given = {"clientCertificateData": pem, "clientKeyData": key, "token": "t"}
    given["expirationTimestamp"] = "2027-01-15T08:10:00Z"
    credential = {"kind": "ExecCredential", "apiVersion": version, "status": given}
    said = [{**begin, "users": [{"name": "u", "user": user}]} for user in users]
    return (*(json.dumps(each).encode() for each in (*said, credential)), (pem + key).encode())


_WORDS = (
    *(b'"client-certificate-data": "', b'"client-key-data": "', b'"certificate-authority-data": "'),
    *(b'"insecure-skip-tls-verify": true', b'"proxy-url": "', b'"as-groups": ["', b'"username": "'),
    *(b"https://", b":443", b"/..", b"@", b"\\u0000", b"\\n", b"-----BEGIN ", b"-----END "),
    *(b"PRIVATE KEY-----", b"CERTIFICATE-----", b"v1beta1", b"null", b"0001-01-01T00:00:00"),
)

TARGET = Target(check=_check, seeds=_make_seeds(), words=_WORDS, longest=_MAX_LENGTH)
"""Reading a kubeconfig and what opens its cluster."""
