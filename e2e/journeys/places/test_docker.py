"""The daemon in a container of Docker: with its defaults, and with the lines of `doctor`."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from e2e.world.command import run
from e2e.world.engine import docker
from e2e.world.images import Images
from e2e.world.product import HARDENED, Product

from .served import RESTRICTED, Served, served

CALLS = """
import ctypes, platform, socket
call = ctypes.CDLL(None, use_errno=True).syscall
numbers = {
    "x86_64": {"keyctl": 250, "bpf": 321, "perf_event_open": 298, "userfaultfd": 323, "ptrace": 101,
               "process_vm_readv": 310, "open_by_handle_at": 304, "kexec_load": 246},
    "aarch64": {"keyctl": 219, "bpf": 280, "perf_event_open": 241, "userfaultfd": 282,
                "ptrace": 117, "process_vm_readv": 270, "open_by_handle_at": 265,
                "kexec_load": 104},
}[platform.machine()] | {"io_uring_setup": 425, "pidfd_getfd": 438}
allowed = []
for name, number in numbers.items():
    if call(number, -1, 0, 0, 0, 0, 0) != -1 or ctypes.get_errno() not in (1, 38):
        allowed.append(name)
for family in (socket.AF_VSOCK, 38, socket.AF_PACKET):
    try:
        socket.socket(family, socket.SOCK_SEQPACKET if family == 38 else socket.SOCK_STREAM).close()
        allowed.append(f"socket {family}")
    except PermissionError:
        pass
    except OSError as error:
        allowed.append(f"socket {family}: {error}")
print(allowed)
"""
"""What no container of the daemon needs, called so that it fails; those that no filter forbade."""


@pytest.fixture
def place(product: Product, images: Images, tmp_path: Path) -> Iterator[Served]:
    """Return a daemon as the docs have it run, with the engine's own profile."""
    tmp_path.chmod(0o755)
    with served(product, images.shim, tmp_path / "default", *RESTRICTED) as place:
        yield place


@contextmanager
def relaxed(place: Served, product: Product, images: Images, folder: Path) -> Iterator[Served]:
    """Keep a daemon whose container is started with the options that doctor names in `place`."""
    told = place.told()
    told.write_profile(folder, image=product.daemon)
    options = told.options(folder)
    assert [each.partition("/")[0] for each in options] == [
        "--security-opt=seccomp=",
        "--security-opt=systempaths=unconfined",
    ]
    with served(product, images.shim, folder / "relaxed", *RESTRICTED, *options) as better:
        yield better


def test_with_the_engines_defaults_boxes_are_of_landlock(place: Served) -> None:
    """A command has one, the record names it, and doctor says what the other one lacks."""
    place.git("init", "--quiet", ".").succeeded()
    assert place.boxes() == ["landlock"]
    told = place.told()
    assert told.boxes == "landlock"
    assert {"bubblewrap", "container"} <= told.remedies.keys()
    assert "apparmor" not in told.remedies


def test_with_doctors_lines_boxes_are_of_bubblewrap(
    place: Served, product: Product, images: Images, tmp_path: Path
) -> None:
    """The same container with the profile that is printed, and the options, has nothing to find."""
    with relaxed(place, product, images, tmp_path) as better:
        better.git("init", "--quiet", ".").succeeded()
        assert better.git("rev-parse", "--show-toplevel").succeeded().stdout == "/workspace"
        assert set(better.boxes()) == {"bubblewrap"}
        told = better.told()
        assert told.boxes == "bubblewrap"
        assert not {"bubblewrap", "container"} & told.remedies.keys()
        assert better.daemon.run("python3", "-c", CALLS, cwd="/").succeeded().stdout == "[]"


@pytest.mark.parametrize("missing", ["seccomp", "systempaths"])
def test_each_of_doctors_lines_is_needed(
    place: Served, product: Product, images: Images, tmp_path: Path, missing: str
) -> None:
    """With all but one of them Landlock still stands in, and doctor goes on to name them."""
    told = place.told()
    told.write_profile(tmp_path, image=product.daemon)
    options = [each for each in told.options(tmp_path) if missing not in each]
    with served(product, images.shim, tmp_path / "half", *RESTRICTED, *options) as half:
        half.git("init", "--quiet", ".").succeeded()
        assert half.boxes() == ["landlock"]
        assert half.told().remedies["container"] == told.remedies["container"]


def test_composes_lines_do_the_same(place: Served, product: Product, tmp_path: Path) -> None:
    """What doctor names for Compose, in a service of the daemon's image, makes boxes there."""
    told = place.told()
    told.write_profile(tmp_path, image=product.daemon)
    (lines,) = re.findall(r"security_opt: (\[.*?\])", told.remedies["container"])
    service = {
        "image": product.daemon,
        "network_mode": "none",
        "read_only": True,
        "cap_drop": ["ALL"],
        "tmpfs": ["/tmp"],
        "security_opt": ["no-new-privileges:true", *json.loads(lines)],
        "command": ["--json", "doctor"],
    }
    (tmp_path / "compose.json").write_text(json.dumps({"services": {"airlock": service}}))
    words = ("docker", "compose", "--file=compose.json", "--project-name=airlock-e2e-places")
    try:
        said = run((*words, "run", "--rm", "airlock"), cwd=str(tmp_path)).stdout
        assert json.loads(said)["boxes"] == "bubblewrap"
    finally:
        run((*words, "down", "--timeout=1"), cwd=str(tmp_path)).succeeded()


def test_where_only_bubblewrap_may_make_them_there_are_none(
    product: Product, tmp_path: Path
) -> None:
    """`require-bubblewrap` means none under the defaults, and doctor says what the file says."""
    config = '[commands]\nenable = ["git"]\n[sandbox]\nmode = "require-bubblewrap"\n'
    (tmp_path / "config.toml").write_text(config)
    mount = f"--volume={tmp_path}:/etc/airlock:ro"
    ask = ("--json", "--config=/etc/airlock", "doctor")
    tmp_path.chmod(0o755)
    said = json.loads(docker("run", "--rm", *HARDENED, mount, product.daemon, *ask).stdout)
    assert said["boxes"] == "none"
    (found,) = [each for each in said["findings"] if each["name"] == "bubblewrap"]
    assert "nothing is in its place: [sandbox] mode says so" in found["problem"]
