"""AppArmor, which this host may not have: on a machine with Debian's kernel, which is emulated.

Shown are the profile that Ubuntu has for bubblewrap since 25.04, `bwrap-userns-restrict`, and one
that forbids it user namespaces, as Ubuntu 24.04 does to all that is unconfined by a patch of its
kernel: that this kernel has not, so that for 24.04 it is argued by the same refusal.

It takes minutes of a processor, and qemu-system-x86_64: it runs with `-m nightly`.
"""

import shutil
from typing import Any

import pytest
from e2e.world.images import bootstrap_debian, temporary_image
from e2e.world.need import need
from e2e.world.product import Product
from e2e.world.virtual_machine import END, VirtualMachine, why_not

from .told import Told, find_report

pytestmark = pytest.mark.nightly

SHIPPED = "/usr/share/apparmor/extra-profiles/bwrap-userns-restrict"
STEPS = f"""
mkdir /etc/empty
cat >/tmp/forbidding <<'END'
abi <abi/4.0>,
include <tunables/global>
profile bwrap /usr/bin/bwrap flags=(attach_disconnected,mediate_deleted) {{
  allow all,
  deny userns,
}}
END
doctor() {{
  echo "== $1"
  setpriv --reuid=1000 --regid=1000 --clear-groups \
    env HOME=/tmp airlock-daemon --config /etc/empty --sockets /tmp/none --json doctor
}}
sudo() {{
  "$@"
}}
doctor plain
for profile in shipped forbidding; do
  path={SHIPPED}
  [ "$profile" = shipped ] || path=/tmp/forbidding
  apparmor_parser --replace "$path"
  doctor "$profile"
  LINE
  doctor "$profile, with the line"
  apparmor_parser --remove /etc/apparmor.d/airlock-launch
  doctor "$profile, without it again"
  apparmor_parser --remove "$path"
done
"""
LINE = (
    "airlock doctor --apparmor | sudo tee /etc/apparmor.d/airlock-launch "
    "&& sudo apparmor_parser -r /etc/apparmor.d/airlock-launch"
)
"""What doctor says, as it is held against below, and what is typed."""


@pytest.fixture(scope="module")
def said(product: Product, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return what doctor said on that machine, step by step."""
    need(why_not())
    base = bootstrap_debian(
        "airlock-e2e/apparmor",
        packages=("apparmor", "apparmor-profiles", "bubblewrap", "procps", "python3-venv"),
    )
    recipe = f"""
FROM {product.daemon} AS daemon
FROM {base}
COPY --from=daemon /opt/airlock /opt/airlock
RUN ln -s /opt/airlock/bin/airlock-daemon /usr/bin/airlock-daemon && useradd --uid 1000 me
"""
    folder = tmp_path_factory.mktemp("machine")
    try:
        with temporary_image("apparmor-machine", recipe) as image:
            machine = VirtualMachine.make(image, folder=folder)
        found = machine.run(STEPS.replace("LINE", LINE), folder=folder)
    finally:
        shutil.rmtree(folder)
    assert END.removeprefix("== ") in found
    return {title: find_report(text) for title, text in found.items() if "{" in text}


def test_without_a_profile_boxes_are_of_bubblewrap(said: dict[str, Any]) -> None:
    """On Debian AppArmor forbids nothing by itself."""
    told = Told.of(said["plain"])
    assert told.boxes == "bubblewrap"
    assert "apparmor" not in told.remedies


@pytest.mark.parametrize("profile", ["shipped", "forbidding"])
def test_with_a_profile_in_the_way_doctors_line_helps(said: dict[str, Any], profile: str) -> None:
    """One takes what finishes a box, the other namespaces; it is the line that helps."""
    for title in (profile, f"{profile}, without it again"):
        told = Told.of(said[title])
        assert told.boxes == "landlock"
        assert told.remedies["apparmor"] == LINE
    told = Told.of(said[f"{profile}, with the line"])
    assert told.boxes == "bubblewrap"
    assert "apparmor" not in told.remedies
