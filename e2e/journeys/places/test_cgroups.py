"""What an agent's boxes have together, where systemd hands the daemon a cgroup: on a machine.

It has Debian's kernel and systemd, all controllers, and the service of `airlock-daemon init`. The
same is tried with a daemon that was handed nothing, so that it shows who bounds what.

It is emulated where the processor lends itself to nothing better: it runs with `-m nightly`.
"""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from e2e.world.images import Images, temporary_image
from e2e.world.need import need
from e2e.world.product import Product
from e2e.world.systemd_host import build_systemd_image
from e2e.world.virtual_machine import END, VirtualMachine, why_not

from .told import find_report

pytestmark = pytest.mark.nightly

MEMORY_MB = 200
PROCESSES = 64
BURDEN = Path(__file__).with_name("burden.py")

CONFIG = f"""\
[commands]
enable = ["python3"]
[limits]
box_memory_mb = {MEMORY_MB}
box_processes = {PROCESSES}
"""
MODULE = '[command]\nbin = "python3"\n[sandbox]\nbox = "closed"\n[deny]\nargs = []\n'
PROFILE = 'commands = ["python3"]\n[workspace]\nhost = true\nsame_path = ["/home/dev/work"]\n'
MANAGER = "/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service"
GROUP = f"{MANAGER}/app.slice/airlock.service/agents"
SERVED = f"""
cd /home/dev
chown -R dev: .config work
as_dev() {{
  runuser -u dev -- env HOME=/home/dev XDG_RUNTIME_DIR=/run/user/1000 "$@"
}}
loginctl enable-linger dev
until [ -S /run/user/1000/systemd/private ]; do sleep 0.02; done
echo "== init"
as_dev airlock-daemon --sockets /home/dev/bounded init
echo "== doctor"
as_dev airlock-daemon --sockets /home/dev/bounded --json doctor
echo "== bounded"
python3 /burden.py /home/dev/bounded
echo "== peaks"
cat {GROUP}/agent-my/memory.peak {GROUP}/agent-my/pids.peak
echo "== service"
journalctl _SYSTEMD_USER_UNIT=airlock.service --no-pager --output=cat
as_dev systemctl --user stop airlock
"""
UNSERVED = """
echo "== free"
as_dev airlock-daemon --sockets /home/dev/free start --agents .config/airlock/agents.toml \
  >/tmp/said 2>&1 &
until [ -S free/my/airlock.sock ] && [ -S free/other/airlock.sock ]; do sleep 0.02; done
python3 /burden.py /home/dev/free
kill $!
wait $!
echo "== said"
cat /tmp/said
"""


def write(path: str, text: str) -> str:
    """Return the steps that write a file."""
    return f"mkdir -p {os.path.dirname(path)}\ncat >{path} <<'WRITTEN'\n{text}WRITTEN\n"


def list_steps() -> str:
    """Return all of them."""
    home = "/home/dev/.config/airlock"
    agents = {name: f"{home}/agents/{name}/airlock.toml" for name in ("my", "other")}
    files = {
        "/burden.py": BURDEN.read_text(),
        f"{home}/config.toml": CONFIG,
        f"{home}/modules/python3.toml": MODULE,
        f"{home}/agents.toml": "".join(f'[{name}]\npath = "agents/{name}"\n' for name in agents),
        **dict.fromkeys(agents.values(), PROFILE),
        **{f"/home/dev/work/{name}/file": "" for name in agents},
    }
    return "".join(write(*each) for each in files.items()) + SERVED + UNSERVED


@pytest.fixture(scope="module")
def said(
    product: Product, images: Images, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    """Return what was said on that machine, step by step."""
    need(why_not())
    recipe = f"""
FROM {images.shim} AS shim
FROM {build_systemd_image(daemon=product.daemon)}
COPY --from=shim /bin/git /opt/client/python3
"""
    folder = tmp_path_factory.mktemp("machine")
    try:
        with temporary_image("cgroups-machine", recipe) as image:
            machine = VirtualMachine.make(image, folder=folder)
        found = machine.run(list_steps(), folder=folder, systemd=True)
    finally:
        shutil.rmtree(folder)
    assert END.removeprefix("== ") in found
    return found


@pytest.fixture
def bounded(said: dict[str, str]) -> dict[str, Any]:
    """Return what boxes of the service could take."""
    return find_report(said["bounded"])


@pytest.fixture
def free(said: dict[str, str]) -> dict[str, Any]:
    """Return what those of a daemon without a cgroup could take."""
    return find_report(said["free"])


def test_the_service_of_init_bounds_all_three(said: dict[str, str]) -> None:
    """It says so, and doctor finds nothing about it; the other daemon says that it does not."""
    assert "boxes: cgroups bound those of an agent (cpu and memory and pids)" in said["service"]
    report = find_report(said["doctor"])
    assert not [one for one in (*report["findings"], *report["notes"]) if one["name"] == "cgroups"]
    assert "is not the daemon's to divide" in said["said"]


def test_an_agents_boxes_together_have_the_memory_of_one(
    said: dict[str, str], bounded: dict[str, Any], free: dict[str, Any]
) -> None:
    """What takes more is killed, though no limit of a process counts it; others go on."""
    assert bounded["take_memory"]["kept"] <= 1
    assert bounded["take_memory"]["other"] == "goes"
    assert int(said["peaks"].split()[0]) <= MEMORY_MB << 20
    assert free["take_memory"]["kept"] == 4


def test_an_agents_boxes_together_have_the_processes_of_four(
    said: dict[str, str], bounded: dict[str, Any], free: dict[str, Any]
) -> None:
    """And another agent's box is made meanwhile."""
    assert 0 < bounded["take_processes"]["started"] < 4 * PROCESSES
    assert bounded["take_processes"]["other"] == "goes"
    assert int(said["peaks"].split()[1]) <= 4 * PROCESSES
    assert free["take_processes"]["started"] == 320


def test_agents_share_a_busy_processor_evenly(
    bounded: dict[str, Any], free: dict[str, Any]
) -> None:
    """However many boxes one of them has."""
    assert bounded["take_processors"]["times"] < 2
    assert free["take_processors"]["times"] > 4
