"""Confines a worker before it serves: no capabilities, and only the files that it needs.

A worker parses input from clients and services, so it is the likeliest to be compromised. It must
then be unable to read stored credentials or the keys of other agents' CAs.
"""

import os
import ssl
import sys
from collections.abc import Iterator
from contextlib import suppress

from airlock_daemon.boundary.brokers.http import Trust
from airlock_daemon.boundary.brokers.https.messages import Settings
from airlock_daemon.errors import Failed
from airlock_daemon.path_text import expand_home
from airlock_daemon.platform.linux.landlock import confine_files

# Libraries and their files: name resolution and the system's CAs.
_SYSTEM = (
    *("/usr", "/lib", "/lib64", "/nix/store", "/dev/null", "/dev/urandom"),
    *("/etc/ld.so.cache", "/etc/localtime", "/etc/resolv.conf", "/etc/hosts", "/etc/host.conf"),
    *("/etc/nsswitch.conf", "/etc/gai.conf", "/etc/services", "/etc/protocols"),
    *("/etc/ssl/openssl.cnf", "/etc/ssl/cert.pem", "/etc/ssl/certs", "/etc/pki/tls/certs"),
    *("/etc/pki/ca-trust/extracted", "/etc/ca-certificates"),
)


def find_readable(settings: Settings) -> tuple[tuple[str, int, int], ...]:
    """The files that a worker with these settings must read, besides its two directories.

    Each has its device and inode number, by which Landlock identifies it.
    """
    found = []
    for path in dict.fromkeys((*_SYSTEM, *_list_authorities(settings), *sys.path)):
        with suppress(OSError):
            status = os.stat(path)
            found.append((path, status.st_dev, status.st_ino))
    return tuple(found)


def confine(settings: Settings) -> None:
    """Drop the privileges that an agent's worker does not need. Raises Failed.

    On Linux only: macOS has nothing of the kind that a process may use for itself.
    """
    if sys.platform != "linux":
        return
    directories = (settings.published, os.path.dirname(settings.keys))
    try:
        confine_files(written=directories, read=[path for path, _, _ in find_readable(settings)])
    except OSError as error:
        raise Failed(
            f"the HTTPS broker's worker for {settings.agent} cannot be confined to "
            f"{' and '.join(directories)}: {error.strerror}",
            hint="see that both are there, and that the daemon may write in them",
        ) from error


def _list_authorities(settings: Settings) -> Iterator[str]:
    defaults = ssl.get_default_verify_paths()
    yield from (defaults.openssl_cafile, defaults.openssl_capath)
    home = settings.variables.get("HOME", "/")
    yield from (expand_home(api.ca_file, home) for api in settings.apis if api.ca_file)
    trust = Trust.read({}, settings.variables)
    if trust.file is not None:
        yield trust.file
    if trust.directory is not None:
        yield trust.directory
        with suppress(OSError):
            # Symlinks may lead elsewhere.
            yield from (each.path for each in os.scandir(trust.directory) if each.is_symlink())
