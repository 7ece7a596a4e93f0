"""An agent's certificate authority, which its tools trust instead of the real servers.

Its key stays in the daemon's state directory. Its certificate is valid only for the hosts of the
agent's APIs (name constraints, RFC 5280, 4.2.1.10), and nothing on this host trusts it.
"""

import datetime as dt
import hmac
import ipaddress
import os
import secrets
import ssl
import stat
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    pkcs12,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from airlock_daemon.errors import Failed
from airlock_daemon.files import read_written
from airlock_daemon.platform.system import private_file

CERTIFICATE, BUNDLE, TRUSTSTORE = "ca.pem", "ca-bundle.pem", "truststore.p12"
"""The published files: the CA's certificate; it with the system's, in PEM; the same for Java."""

TRUSTSTORE_PASSWORD = b"changeit"
"""Java requires one; the contents are public."""

_DAY = dt.timedelta(days=1)
_LASTS, _RENEWED = 400 * _DAY, 200 * _DAY
_LEAF_LASTS = 30 * _DAY
# A long-lived process reissues leaves after this many seconds.
_LEAF_S = 7 * 86400
_MAX_LEAVES = 512
_READABLE = 0o644
# Limit for reading a published file.
_MAX_BYTES = 4 << 20
# No host has this name (RFC 6761): permitting it alone permits none.
_NO_HOST = "airlock.invalid"
_EVERY_ADDRESS = ("0.0.0.0/0", "::/0")


class Authority:
    """The CA of one agent for `hosts`: names, names after `*.` or `**.`, and addresses."""

    def __init__(self, agent: str, key: ec.EllipticCurvePrivateKey, hosts: Iterable[str]) -> None:
        self._key = key
        self._subject = x509.Name(
            [
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Airlock"),
                x509.NameAttribute(NameOID.COMMON_NAME, agent),
            ]
        )
        self._constraints = _constrain(hosts)
        self._key_id = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        # All leaves share one key, which is guarded as well as the CA's.
        self._leaf_key = ec.generate_private_key(ec.SECP256R1())
        self._contexts: dict[tuple[str, int], ssl.SSLContext] = {}

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the public key, in hexadecimal."""
        digest = hashes.Hash(hashes.SHA256())
        digest.update(_encode_public(self._key.public_key()))
        return digest.finalize().hex()

    @property
    def identity(self) -> tuple[object, ...]:
        """Equal for authorities with the same agent, hosts and key."""
        return (self._subject, self._constraints, self.fingerprint)

    def derive(self, purpose: str) -> bytes:
        """Derive 32 secret bytes for another purpose from the CA's key."""
        private = self._key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        return hmac.digest(private, purpose.encode(), "sha256")

    def context(self, host: str) -> ssl.SSLContext:
        """The server-side TLS context for a host; another SNI name gets an alert."""
        wanted = (host, int(time.time() // _LEAF_S))
        found = self._contexts.get(wanted)
        if found is None:
            if len(self._contexts) >= _MAX_LEAVES:
                del self._contexts[next(iter(self._contexts))]
            found = self._contexts[wanted] = self._make_context(host)
        return found

    def publish(self, directory: str, system: Sequence[bytes]) -> None:
        """Write the files into a directory; `system` are the system's certificates (DER).

        Keeps up-to-date files and replaces others atomically, even a symlink. Raises Failed if a
        file cannot be written.
        """
        own = self._find_published(os.path.join(directory, CERTIFICATE))
        if own is None:
            own = self._issue()
            _replace(os.path.join(directory, CERTIFICATE), _encode(own))
        bundle = _encode(own) + "".join(map(ssl.DER_cert_to_PEM_cert, system)).encode()
        store, path = os.path.join(directory, TRUSTSTORE), os.path.join(directory, BUNDLE)
        # The bundle is written last: if it is up to date, all files are.
        has_store = read_written(store, limit=_MAX_BYTES) is not None
        if not has_store or read_written(path, limit=_MAX_BYTES) != bundle:
            _replace(store, _make_truststore(own, system))
            _replace(path, bundle)

    def _find_published(self, path: str) -> x509.Certificate | None:
        """The published certificate, if it is this CA's and valid long enough."""
        with suppress(ValueError, x509.ExtensionNotFound):
            found = x509.load_pem_x509_certificate(read_written(path, limit=_MAX_BYTES) or b"")
            extension = found.extensions.get_extension_for_class(x509.NameConstraints)
            is_same = (
                found.subject == self._subject
                and extension.value == self._constraints
                and _encode_public(found.public_key()) == _encode_public(self._key.public_key())
            )
            if is_same and found.not_valid_after_utc - _now() > _RENEWED:
                return found
        return None

    def _issue(self) -> x509.Certificate:
        usage = x509.KeyUsage(
            digital_signature=False,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=True,
            crl_sign=True,
            encipher_only=False,
            decipher_only=False,
        )
        builder = _begin(self._subject, self._subject, self._key.public_key(), _LASTS)
        builder = builder.add_extension(
            x509.BasicConstraints(ca=True, path_length=0), critical=True
        )
        builder = builder.add_extension(usage, critical=True)
        builder = builder.add_extension(self._key_id, critical=False)
        builder = builder.add_extension(self._constraints, critical=True)
        return builder.sign(self._key, hashes.SHA256())

    def _make_context(self, host: str) -> ssl.SSLContext:
        certificate = self.issue_leaf(host)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        # Few tools resume sessions, and each ticket wakes every client once more.
        context.num_tickets = 0
        context.sni_callback = _refuse_others(host)
        key = self._leaf_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        # The library loads keys only from a file, so use one in memory.
        with private_file("leaf", key + _encode(certificate)) as path:
            context.load_cert_chain(path)
        return context

    def issue_leaf(self, host: str) -> x509.Certificate:
        """Issue a certificate for one host, with the leaves' common key."""
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Airlock")])
        public = self._leaf_key.public_key()
        purpose = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
        issuer = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(self._key_id)
        own = x509.SubjectKeyIdentifier.from_public_key(public)
        builder = _begin(subject, self._subject, public, _LEAF_LASTS)
        builder = builder.add_extension(_name(host), critical=False)
        builder = builder.add_extension(purpose, critical=False)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
        builder = builder.add_extension(issuer, critical=False).add_extension(own, critical=False)
        return builder.sign(self._key, hashes.SHA256())


def open_key(path: str) -> ec.EllipticCurvePrivateKey:
    """Open the CA's key, created (mode 0600) if missing. Raises Failed."""
    try:
        with suppress(FileExistsError):
            _make_key(path)
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & 0o077:
                raise Failed(
                    f"{path} is not this user's alone, so that its key may be known to others",
                    hint=f"remove {path}: a new one is made; containers must then be started again",
                )
            key = load_pem_private_key(file.read(), None)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it has no key"
        raise Failed(
            f"{path}, the key of the agent's CA, cannot be used: {why}",
            hint="mend that, or remove the file: a new one is made; containers must then be "
            "started again",
        ) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise Failed(
            f"{path}, the key of the agent's CA, is of another kind",
            hint="remove the file: a new one is made; containers must then be started again",
        )
    return key


def read_system(context: ssl.SSLContext) -> tuple[bytes, ...]:
    """The certificates (DER) in a client's context, or in the system's directory."""
    found = context.get_ca_certs(binary_form=True)
    directory = ssl.get_default_verify_paths().capath
    if not found and directory is not None:
        # The library loads certificates of a directory only on demand.
        for name in sorted(os.listdir(directory)):
            with suppress(OSError):
                context.load_verify_locations(os.path.join(directory, name))
        found = context.get_ca_certs(binary_form=True)
    return tuple(found)


def _make_key(path: str) -> None:
    if os.path.lexists(path):
        return
    key = ec.generate_private_key(ec.SECP256R1())
    text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    new = f"{path}.{os.getpid()}"
    try:
        with open(
            os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb"
        ) as f:
            f.write(text)
            f.flush()
            os.fsync(f.fileno())
        # If two processes race, the first one wins.
        os.link(new, path)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(new)


def _constrain(hosts: Iterable[str]) -> x509.NameConstraints:
    names, addresses = set(), set()
    for host in hosts:
        try:
            addresses.add(str(ipaddress.ip_network(host.strip("[]"))))
        except ValueError:
            names.add(host.lstrip("*").removeprefix("."))
    permitted: list[x509.GeneralName] = [x509.DNSName(n) for n in sorted(names) or [_NO_HOST]]
    permitted += [x509.IPAddress(ipaddress.ip_network(each)) for each in sorted(addresses)]
    # Without any constraint, all addresses would be allowed.
    free = [each for each in _EVERY_ADDRESS if not addresses]
    excluded = [x509.IPAddress(ipaddress.ip_network(each)) for each in free]
    return x509.NameConstraints(permitted, excluded or None)


def _begin(
    subject: x509.Name,
    issuer: x509.Name,
    public: ec.EllipticCurvePublicKey,
    lasts: dt.timedelta,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        # Clocks of containers in a VM may be behind.
        .not_valid_before(_now() - _DAY)
        .not_valid_after(_now() + lasts)
    )


def _name(host: str) -> x509.SubjectAlternativeName:
    try:
        return x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(host))])
    except ValueError:
        return x509.SubjectAlternativeName([x509.DNSName(host)])


def _refuse_others(host: str) -> Callable[[object, str | None, ssl.SSLContext], int | None]:
    def check(_: object, name: str | None, __: ssl.SSLContext) -> int | None:
        is_other = name is not None and name.lower() != host
        return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME if is_other else None

    return check


def _make_truststore(own: x509.Certificate, system: Sequence[bytes]) -> bytes:
    certificates = [pkcs12.PKCS12Certificate(own, b"airlock")]
    for number, each in enumerate(system):
        # Some systems have old, malformed certificates.
        with suppress(ValueError), warnings.catch_warnings(action="ignore"):
            loaded = x509.load_der_x509_certificate(each)
            certificates.append(pkcs12.PKCS12Certificate(loaded, b"system-%d" % number))
    return pkcs12.serialize_java_truststore(
        certificates, BestAvailableEncryption(TRUSTSTORE_PASSWORD)
    )


def _replace(path: str, data: bytes) -> None:
    # A worker may not change a mode.
    new = os.path.join(os.path.dirname(path), f".new.{secrets.token_hex(8)}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        try:
            with open(os.open(new, flags, _READABLE), "wb") as file:
                file.write(data)
            os.replace(new, path)
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(new)
            raise
    except OSError as error:
        raise Failed(
            f"{path} cannot be written: {error.strerror}",
            hint="mend that: the agent's socket directory is the daemon's own",
        ) from error


def _encode(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.PEM)


def _encode_public(key: object) -> bytes:
    assert isinstance(key, ec.EllipticCurvePublicKey)  # noqa: S101 - all keys here are EC
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
