"""When an environment is made, when its packages are built again, and when it is used as it is.

A small checkout with a stand-in for Hatch that notes how it was called; the environment's Python
notes what pip was to install.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tasks.hatch import REQUIREMENT

ROOT = Path(__file__).resolve().parents[2]

HATCH = """#!/bin/sh
echo "hatch $*" >>calls
mkdir -p .hatch/$3/bin
printf '#!/bin/sh\\necho "${4#--} $5 members" >>calls\\n' >.hatch/$3/bin/python
chmod +x .hatch/$3/bin/python
"""
MADE = "hatch env create demo"
BUILT = "quiet --no-deps members"


class Checkout:
    """A copy of what decides, in a folder of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        shutil.copytree(ROOT / "tasks", root / "tasks", ignore=shutil.ignore_patterns("tests"))
        (root / "pyproject.toml").write_text('[tool.hatch.envs.demo]\nworkspace.members = ["a"]\n')
        self.native = root / "packages" / "a" / "native" / "main.zig"
        self.native.parent.mkdir(parents=True)
        self.native.write_text("// first\n")
        self.metadata = root / "packages" / "a" / "pyproject.toml"
        self.metadata.write_text("[project]\n")
        hatch = root / ".hatch" / "tool" / "bin" / "hatch"
        hatch.parent.mkdir(parents=True)
        hatch.write_text(HATCH)
        hatch.chmod(0o755)
        (hatch.parent.parent / "stamp").write_text(f"{root}\n{sys.version}\n{REQUIREMENT}\n")

    def prepare(self, name: str = "demo") -> list[str]:
        """Prepare an environment in a new process and return what was called for it."""
        code = f"from tasks.environment import prepare_environment; prepare_environment({name!r})"
        subprocess.run([sys.executable, "-c", code], cwd=self.root, check=True)
        calls = self.root / "calls"
        lines = calls.read_text().splitlines() if calls.exists() else []
        calls.unlink(missing_ok=True)
        return lines


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path / "checkout")


def test_made_once(checkout: Checkout) -> None:
    """The first use makes the environment, the second finds it as it should be."""
    assert checkout.prepare() == [MADE]
    assert checkout.prepare() == []


def test_changed_metadata_makes_it_anew(checkout: Checkout) -> None:
    """A package that may want other dependencies means another environment."""
    checkout.prepare()
    checkout.metadata.write_text('[project]\nname = "a"\n')
    assert checkout.prepare() == [MADE]


def test_changed_native_source_is_built(checkout: Checkout) -> None:
    """A changed native source is built, once, without making the environment anew."""
    checkout.prepare()
    checkout.native.write_text("// second\n")
    assert checkout.prepare() == [BUILT]
    assert checkout.prepare() == []


def test_build_for_another_environment_is_noticed(checkout: Checkout) -> None:
    """What another environment left of built programs in the source tree is not trusted."""
    checkout.prepare()
    checkout.native.write_text("// second\n")
    checkout.prepare("default")
    checkout.native.write_text("// first\n")
    assert checkout.prepare() == [BUILT]


def test_interrupted_making_starts_over(checkout: Checkout) -> None:
    """An environment that was not finished has no stamp and is not used."""
    checkout.prepare()
    (checkout.root / ".hatch" / "demo" / "stamp").unlink()
    assert checkout.prepare() == [MADE]


def test_failing_hatch_is_told(checkout: Checkout) -> None:
    """When Hatch fails, the environment counts as not made."""
    hatch = checkout.root / ".hatch" / "tool" / "bin" / "hatch"
    hatch.write_text("#!/bin/sh\nexit 3\n")
    with pytest.raises(subprocess.CalledProcessError):
        checkout.prepare()
    hatch.write_text(HATCH)
    assert checkout.prepare() == [MADE]
