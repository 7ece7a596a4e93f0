"""Other releases of OpenSSH: the oldest and the newest on Debian's mirror."""

import io
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .command import CommandFailed
from .engine import LABEL, docker
from .images import bootstrap_debian

RELEASES: Mapping[str, tuple[str, ...]] = {
    "oldest": ("bullseye", "bookworm"),
    "newest": ("sid", "testing"),
}
"""Debian releases by purpose; the first one available is used."""

_PACKAGES = (
    *("ca-certificates", "git", "gitolite3", "lighttpd", "lighttpd-mod-openssl"),
    *("openssh-client", "openssh-server"),
)
_CLIENTS = ("ssh", "ssh-keygen")
# Their libraries, and the NSS module that they load to look up users.
_LIST = (
    "ldd {programs} | grep -o '/[^ )]*' | grep -v : | sort -u; ls /lib/*/libnss_files.so.2; "
    "for each in {programs}; do echo $each; done"
)
_RUN = '#!/bin/sh\nexec {folder}{loader} --library-path {libraries} {folder}{program} "$@"\n'


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenSsh:
    """The OpenSSH and the git of one release of Debian, in `image`."""

    image: str

    @classmethod
    def make(cls, which: str) -> "OpenSsh":
        """Return that of RELEASES[`which`]. Raises CommandFailed if none is available."""
        *older, last = RELEASES[which]
        for release in older:
            try:
                return cls(image=_bootstrap(release))
            except CommandFailed:
                continue
        return cls(image=_bootstrap(last))

    @property
    def version(self) -> str:
        """The versions reported by its ssh and its git."""
        told = docker("run", "--rm", self.image, "sh", "-c", "ssh -V 2>&1; git --version")
        return ", ".join(told.succeeded().stdout.splitlines())

    def serve(self, folder: Path) -> list[str]:
        """The command that starts its sshd, with `folder` and this host's network."""
        options = (f"--volume={folder}:{folder}", "--network=host", "--tmpfs=/run/sshd:mode=755")
        return ["docker", "run", "--rm", f"--label={LABEL}", *options, self.image, "/usr/sbin/sshd"]

    def unpack_client(self, folder: Path) -> Path:
        """Put its ssh into `folder`, to run on this host; return the directory for PATH."""
        programs = " ".join(f"/usr/bin/{name}" for name in _CLIENTS)
        script = f"tar -chf - $({_LIST.format(programs=programs)})"
        packed = docker("run", "--rm", self.image, "sh", "-c", script).succeeded().out
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            archive.extractall(folder, filter="data")
        files = [path for path in folder.rglob("*") if path.is_file()]
        loader = next(path for path in files if path.name.startswith("ld-linux"))
        libraries = ":".join(sorted({str(path.parent) for path in files if ".so" in path.name}))
        (folder / "path").mkdir()
        for name in _CLIENTS:
            wrapper = folder / "path" / name
            wrapper.write_text(
                _RUN.format(
                    folder=folder,
                    loader=f"/{loader.relative_to(folder)}",
                    libraries=libraries,
                    program=f"/usr/bin/{name}",
                )
            )
            wrapper.chmod(0o755)
        return folder / "path"


def _bootstrap(release: str) -> str:
    return bootstrap_debian(f"airlock-e2e/debian-{release}", packages=_PACKAGES, release=release)
