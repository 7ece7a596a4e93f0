"""A machine with systemd: a container with systemd as pid 1, and a user on it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .command import Completed
from .container import Container, started
from .engine import docker, one_at_a_time
from .images import RECIPES, bootstrap_debian

PACKAGES = (
    *("bubblewrap", "dbus", "libpam-systemd", "openssh-client", "python3-venv"),
    *("systemd", "systemd-sysv"),
)
USER = 1000
"""The user's uid; the account is called `dev`."""
SOCKETS = "/sockets"
"""A directory shared with the test's host, so that other containers can mount its content."""

_OPTIONS = (
    *("--privileged", "--tmpfs=/run", "--tmpfs=/run/lock", "--tmpfs=/tmp"),
    *("--stop-signal=SIGRTMIN+3", "--network=none"),
)
_STOPPED_S = 5


@one_at_a_time()
def build_systemd_image(*, daemon: str) -> str:
    """Build the machine's image, with the software of the image `daemon`; return its name."""
    name = "airlock-e2e/systemd"
    base = bootstrap_debian("airlock-e2e/systemd-base", packages=PACKAGES)
    words = (f"--build-arg=BASE={base}", f"--build-arg=DAEMON={daemon}", f"--tag={name}")
    docker("build", "--quiet", "--network=none", *words, str(RECIPES / "systemd")).succeeded()
    return name


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemdHost:
    """The running machine. `sockets` is its directory SOCKETS on the test's host."""

    container: Container
    sockets: Path

    def run(self, *argv: str) -> Completed:
        """Run a command as the user."""
        return self.container.run(*argv, cwd="/home/dev", user="dev")

    def write(self, path: str, text: str) -> None:
        """Write a file of the user, `path` relative to the home, and its directories."""
        script = 'mkdir -p "$(dirname "$1")" && cat > "$1"'
        words = ("sh", "-c", script, "sh", path)
        self.container.run(*words, cwd="/home/dev", user="dev", stdin=text.encode()).succeeded()

    def read(self, path: str) -> str:
        """Return the text of a file."""
        return self.run("cat", path).succeeded().out.decode()

    def ask_systemd(self, *words: str) -> Completed:
        """Run `systemctl --user` as the user."""
        return self.run("env", f"XDG_RUNTIME_DIR=/run/user/{USER}", "systemctl", "--user", *words)

    def show(self, name: str) -> str:
        """Return a property of the service from `systemctl show`."""
        return self.ask_systemd("show", "--value", f"--property={name}", "airlock").stdout

    def log_in(self) -> None:
        """Start the user's systemd, as a login does."""
        self.do_as_root("systemctl", "start", f"user@{USER}")

    def do_as_root(self, *argv: str) -> None:
        """Run a command as root; it must succeed."""
        self.container.run(*argv, cwd="/", user="root").succeeded()

    def reboot(self) -> None:
        """Restart the machine, and wait until it has booted."""
        docker("restart", f"--time={_STOPPED_S}", self.container.id).succeeded()
        self.wait_until_booted()

    def wait_until_booted(self) -> None:
        """Wait until boot is complete."""
        self._wait_for_socket("/run/systemd/private")
        # Its exit status reports failed units, which a container always has.
        self.container.run("systemctl", "is-system-running", "--wait", cwd="/")

    def wait_until_lingering(self) -> None:
        """Wait until the user's systemd has started all its units."""
        self._wait_for_socket(f"/run/user/{USER}/systemd/private")
        self.ask_systemd("is-system-running", "--wait")

    def _wait_for_socket(self, path: str) -> None:
        self.do_as_root("sh", "-c", f"until [ -S {path} ]; do sleep 0.02; done")


@contextmanager
def booted(image: str, sockets: Path, *options: str) -> Iterator[SystemdHost]:
    """Run a machine for the length of the context. `sockets` is an empty directory.

    `options` go to `docker run`.
    """
    with started(image, *_OPTIONS, f"--volume={sockets}:{SOCKETS}", *options) as container:
        host = SystemdHost(container=container, sockets=sockets)
        host.wait_until_booted()
        yield host
