"""The credential of an API, read from the text of a person, a file or a program.

It is a token, or certificate and key in PEM, or the ExecCredential that a program prints for
Kubernetes.
"""

import datetime as dt
import math
import re
from typing import Annotated

import msgspec
from msgspec.structs import replace

from airlock_daemon.setup.stored import Secrets

NO_JSON = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""The exceptions of decoding invalid JSON."""

CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----")
"""A certificate in PEM."""

_KEY = re.compile(
    r"-----BEGIN ((?:RSA |EC )?PRIVATE KEY)-----[A-Za-z0-9+/=\s]+-----END \1-----", re.ASCII
)


class BadCredential(ValueError):
    """An unusable credential; the message is a predicate: "has two lines"."""


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """Access to an API: a token, or certificate and key in PEM, valid for `lasts_s` seconds."""

    token: str = ""
    certificate: str = ""
    lasts_s: float = math.inf

    def __repr__(self) -> str:
        """Omit the values, which no message may show."""
        return "Access()"

    @classmethod
    def of_text(cls, data: bytes) -> "Access":
        """The token in a person's, file's or program's text, stripped of whitespace.

        Raises BadCredential.
        """
        if len(data) > Secrets.MAX_LENGTH:
            raise BadCredential(f"has more than {Secrets.MAX_LENGTH} bytes")
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
        return cls(token=value)

    @classmethod
    def of_certificate(cls, data: bytes) -> "Access":
        """Parse certificate and key in PEM, in any order. Raises BadCredential."""
        try:
            text = data.decode("ascii")
        except UnicodeDecodeError:
            raise BadCredential("is no PEM") from None
        return cls.of_pem("", text, text)

    @classmethod
    def of_exec_credential(cls, data: bytes, now: float) -> "Access":
        """Parse an ExecCredential (client.authentication.k8s.io, v1 or v1beta1).

        Raises BadCredential.
        """
        try:
            found = msgspec.json.decode(data, type=_ExecCredential)
        except NO_JSON:
            raise BadCredential("is no ExecCredential in JSON") from None
        versions = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")
        if found.kind != "ExecCredential" or found.api_version not in versions or not found.status:
            raise BadCredential("is no ExecCredential of v1 or v1beta1 with a status")
        status = found.status
        lasts_s = math.inf
        if status.expiration_timestamp is not None:
            lasts_s = status.expiration_timestamp.timestamp() - now
            if lasts_s <= 0:
                raise BadCredential("has ended")
        access = cls.of_pem(status.token, status.client_certificate_data, status.client_key_data)
        return replace(access, lasts_s=lasts_s)

    @classmethod
    def of_pem(cls, token: str, certificate: str, key: str) -> "Access":
        """Build the access from the certificates and the key in the texts. Raises BadCredential."""
        if token and not (token.isascii() and token.isprintable() and " " not in token):
            raise BadCredential("has a token with characters that no header may have")
        chain, keys = CERTIFICATE.findall(certificate), [each[0] for each in _KEY.finditer(key)]
        if bool(certificate or key) and not (chain and len(keys) == 1):
            raise BadCredential("has not one certificate with one unencrypted key in PEM")
        if not token and not chain:
            raise BadCredential("has neither a token nor a certificate")
        return cls(token=token, certificate="\n".join((*chain, *keys, "")) if chain else "")

    @staticmethod
    def describe_exec(version: str = "client.authentication.k8s.io/v1") -> dict[str, object]:
        """KUBERNETES_EXEC_INFO, as an object, for a program that prints an ExecCredential."""
        return {"apiVersion": version, "kind": "ExecCredential", "spec": {"interactive": False}}


class _Status(msgspec.Struct, rename="camel"):
    token: str = ""
    client_certificate_data: str = ""
    client_key_data: str = ""
    expiration_timestamp: Annotated[dt.datetime, msgspec.Meta(tz=True)] | None = None


class _ExecCredential(msgspec.Struct, rename="camel"):
    api_version: str
    kind: str
    status: _Status | None = None
