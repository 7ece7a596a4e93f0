"""Whoever knows the base of the protocol alone, as released shims and daemons do, and ours."""

import os
import sys
from pathlib import Path

import pytest

from e2e.world.daemon import Daemon
from e2e.world.executables import Executables
from e2e.world.wheels import CHECKOUT

from .shim_asking import NO_BOX, find_wrong_answers, install_tools

CONTROLS = CHECKOUT / "conformance" / "controls"


def write_control(path: Path, name: str, *, entry: str) -> Path:
    """Write an executable that is one of the conformance suite's own of the base."""
    path.write_text(
        f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(CONTROLS)!r})\n"
        f"from base_only import {name}\nfrom {entry} import main\nmain({name})\n"
    )
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("ours", ["shim", "daemon", "both"])
def test_ours_and_one_of_the_base_understand_each_other(
    ours: str, executables: Executables, tmp_path: Path
) -> None:
    """Our shim at its daemon, its shim at our daemon; ours at ours has stdin besides."""
    daemon, shim = executables.daemon, executables.shim
    if ours == "shim":
        daemon = write_control(
            tmp_path / "their-daemon", "BaseOnlyDaemon", entry="reference_daemon"
        )
    if ours == "daemon":
        shim = write_control(tmp_path / "their-shim", "BaseOnlyShim", entry="reference_shim")
    # A daemon of the base knows no box, and takes no module that names one.
    installation = install_tools(tmp_path / "i", more="" if ours == "shim" else NO_BOX)
    place = tmp_path / "place"
    place.mkdir()
    with Daemon(
        installation.argv([daemon]),
        said=installation.said,
        sockets=installation.list_sockets,
        environment={**os.environ, "HOME": str(tmp_path)},
    ):
        wrong = find_wrong_answers(
            shim, installation.socket("web"), place, has_stdin=ours == "both"
        )
        assert list(wrong) == []
