"""A registry of images that asks for a password, in a container, published on this host."""

import base64
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from .container import serving
from .engine import docker

# The registry takes bcrypt alone, which the C library of the image computes.
_ADMIT = 'perl -e \'print "$ARGV[0]:", crypt($ARGV[1], "\\$2b\\$05\\$" . "a" x 22), "\\n"\' "$@"'


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """The running registry at `address`, HOST:PORT; `user` and `password` let one in."""

    address: str
    user: str
    password: str

    def configuration(self) -> str:
        """Return the text of docker's config.json for somebody who has logged in."""
        auth = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        return json.dumps({"auths": {self.address: {"auth": auth}}})

    def has(self, repository: str, tag: str) -> bool:
        """Whether an image was pushed under this name."""
        entry = json.loads(self.configuration())["auths"][self.address]["auth"]
        request = urllib.request.Request(
            f"http://{self.address}/v2/{repository}/tags/list",
            headers={"Authorization": f"Basic {entry}"},
        )
        try:
            with urllib.request.urlopen(request) as answer:  # noqa: S310 - our own server
                return tag in (json.load(answer)["tags"] or ())
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return False
            raise


@contextmanager
def running_registry(image: str, *, user: str, password: str) -> Iterator[Registry]:
    """Serve for as long as the context lasts.

    Afterwards the names that images got for it are removed; the images stay.
    """
    with serving(image, 5000, says="listening on") as container:
        script = f"{_ADMIT} >/etc/registry/users"
        docker("exec", container.id, "sh", "-c", script, "sh", user, password).succeeded()
        address = f"127.0.0.1:{container.find_port(5000)}"
        try:
            yield Registry(address=address, user=user, password=password)
        finally:
            for form in ("{{.Repository}}:{{.Tag}}", "{{.Repository}}@{{.Digest}}"):
                _remove_names(address, form)


def _remove_names(address: str, form: str) -> None:
    """Remove the names of one form; an image whose tag was given away has its digest's alone."""
    options = ("--digests", "--format", form, "--filter", f"reference={address}/*")
    listed = docker("images", *options).succeeded().stdout.split()
    if names := [name for name in listed if not name.endswith("<none>")]:
        docker("rmi", *names).succeeded()
