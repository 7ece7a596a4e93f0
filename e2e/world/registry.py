"""An image registry with a password, in a container, published on this host."""

import base64
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from .container import serving
from .engine import docker

# The registry accepts only bcrypt, which the image's C library computes.
_ADMIT = 'perl -e \'print "$ARGV[0]:", crypt($ARGV[1], "\\$2b\\$05\\$" . "a" x 22), "\\n"\' "$@"'


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """The running registry at `address`, HOST:PORT, with `user` and `password`."""

    address: str
    user: str
    password: str

    def configuration(self) -> str:
        """Return the text of docker's config.json after a login."""
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
    """Serve for the length of the context.

    Afterwards the names that images got for it are removed; the images remain.
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
    """Remove names of one form; an image that lost its tag has only a digest."""
    options = ("--digests", "--format", form, "--filter", f"reference={address}/*")
    listed = docker("images", *options).succeeded().stdout.split()
    if names := [name for name in listed if not name.endswith("<none>")]:
        docker("rmi", *names).succeeded()
