"""The settings of git-lfs and of signing, as git reads them."""

import os
import subprocess
from pathlib import Path

import pytest

from airlock_daemon.setup.human_git import ShimSettings


def listed(**variables: str) -> dict[str, str]:
    """What git has set by these variables, and by nothing else."""
    nothing = {"GIT_CONFIG_SYSTEM": os.devnull, "GIT_CONFIG_GLOBAL": os.devnull}
    said = subprocess.run(
        ["git", "config", "--null", "--list"],
        cwd="/",
        env={"PATH": os.environ["PATH"], **nothing, **variables},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return dict(pair.split("\n", 1) for pair in said.split("\0") if pair)


@pytest.mark.parametrize("has_filters", [False, True])
def test_a_box_and_a_container_have_the_same(tmp_path: Path, *, has_filters: bool) -> None:
    """But that a box has the filters of the host's git-lfs too, where that is there."""
    file = tmp_path / "config"
    file.write_bytes(ShimSettings(agent=ShimSettings.BOX_AGENT).compose(has_filters=has_filters))
    found = listed(GIT_CONFIG_SYSTEM=str(file))
    filters = {name for name in found if name.startswith("filter.lfs.")}
    assert len(filters) == (4 if has_filters else 0)
    for name in filters:
        del found[name]
    assert found == listed(**ShimSettings(agent=ShimSettings.BOX_AGENT).variables)
    assert found["lfs.customtransfer.airlock.path"] == ShimSettings.BOX_AGENT


def test_a_container_that_signs_has_the_shim_in_place_of_ssh_keygen() -> None:
    """Beside the settings of git-lfs, or alone; a container with neither has none."""
    signing = listed(**ShimSettings(signer="/x/git-sign").variables)
    assert signing == {
        "gpg.format": "ssh",
        "gpg.ssh.program": "/x/git-sign",
        "gpg.ssh.defaultkeycommand": "/x/git-sign",
    }
    both = listed(**ShimSettings(agent=ShimSettings.BOX_AGENT, signer="/x/git-sign").variables)
    assert both == signing | listed(**ShimSettings(agent=ShimSettings.BOX_AGENT).variables)
    assert ShimSettings().variables == {}
    by_gpg = listed(**ShimSettings(signer="/x/git-sign", is_openpgp=True).variables)
    assert by_gpg == {"gpg.format": "openpgp", "gpg.program": "/x/git-sign"}
