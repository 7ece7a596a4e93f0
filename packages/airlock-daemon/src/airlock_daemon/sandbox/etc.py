"""The /etc of a box: some files made for it, and public ones of the host that are needed."""

import os
from collections.abc import Iterable, Iterator

from msgspec.structs import replace

from airlock_daemon.command.order import Identity
from airlock_daemon.sandbox.box import HOME, Box, Made, Operation, System

# Of what exists: libraries and programs, certificates, and names of things. None has a secret, and
# none says who or where the host is.
_PUBLIC = (
    *("ld.so.cache", "alternatives", "localtime", "services", "protocols", "mime.types"),
    *("ssl/certs", "ssl/openssl.cnf", "ca-certificates", "crypto-policies"),
    *("pki/tls/certs", "pki/ca-trust/extracted"),
    *("terminfo", "locale.alias", "host.conf", "gai.conf"),
)
PUBLIC = tuple(f"/etc/{name}" for name in _PUBLIC)
"""Those, whether they exist or not."""

_NSSWITCH = b"passwd: files\ngroup: files\nhosts: files dns\nservices: files\nprotocols: files\n"
_HOSTS = Made(b"127.0.0.1 localhost airlock\n::1 localhost\n", "/etc/hosts")


def name_hosts(box: Box, hosts: Iterable[tuple[str, str]]) -> Box:
    """The box in which further names have addresses: pairs of an address and a name."""
    lines = "".join(f"{address} {name}\n" for address, name in hosts)
    more = replace(_HOSTS, content=_HOSTS.content + lines.encode())
    operations = (more if each == _HOSTS else each for each in box.operations)
    return replace(box, operations=tuple(operations))


def make_etc(identity: Identity) -> Iterator[Operation]:
    """What stands in /etc for tools that run as `identity`, who is called airlock in the box."""
    user, group = identity.user, identity.group
    passwd = f"airlock:x:{user}:{group}:airlock:{HOME}:/bin/sh\n"
    passwd += "nobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n" if user != 65534 else ""
    groups = f"airlock:x:{group}:\n" + ("nogroup:x:65534:\n" if group != 65534 else "")
    yield Made(passwd.encode(), "/etc/passwd")
    yield Made(groups.encode(), "/etc/group")
    yield Made(_NSSWITCH, "/etc/nsswitch.conf")
    yield _HOSTS
    for path in PUBLIC:
        if os.path.exists(path):
            is_part = os.path.realpath(path) == path
            is_copied = not is_part and os.path.isfile(path)
            yield System(path, path, is_copied=is_copied, is_part=is_part)
