"""Whose certificates are believed: the human's, by the settings that git reads."""

import ssl
from collections.abc import Mapping

import msgspec

from airlock_daemon.errors import Failed
from airlock_daemon.setup.paths import expand_home


class Trust(msgspec.Struct, frozen=True, kw_only=True):
    """Where authorities are: a file, a directory, or for None of both those of the system.

    `text` has them itself, in PEM. `is_waived` says that git on this host verifies nothing, which
    is not done here.
    """

    file: str | None
    directory: str | None
    is_waived: bool
    text: str | None = None


def read_trust(settings: Mapping[str, str], variables: Mapping[str, str]) -> Trust:
    """Read the settings `http.*` for a URL, by lower case names, and variables (git-config(1))."""
    home = variables.get("HOME", "/")
    file = variables.get("GIT_SSL_CAINFO") or settings.get("sslcainfo")
    directory = variables.get("GIT_SSL_CAPATH") or settings.get("sslcapath")
    is_off = settings.get("sslverify", "true").lower() in ("false", "no", "off", "0", "")
    file_or_systems = file or variables.get("SSL_CERT_FILE", "")
    directory = directory or ("" if file else variables.get("SSL_CERT_DIR", ""))
    return Trust(
        file=expand_home(file_or_systems, home) or None,
        directory=expand_home(directory, home) or None,
        is_waived=is_off or "GIT_SSL_NO_VERIFY" in variables,
    )


def make_context(trust: Trust) -> ssl.SSLContext:
    """Load the authorities, which takes some milliseconds. Raises Failed where there are none."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        if trust.file or trust.directory or trust.text:
            context.load_verify_locations(trust.file, trust.directory, trust.text)
        else:
            context.load_default_certs()
    except OSError as error:
        # ssl.SSLError is one, too.
        where = trust.file or trust.directory or "the kubeconfig"
        raise Failed(
            f"the certificate authorities in {where} cannot be read: {error.strerror or error}",
            hint="a person on the host can look at http.sslCAInfo and http.sslCAPath of git, and "
            "at GIT_SSL_CAINFO and SSL_CERT_FILE of the daemon",
        ) from error
    return context
