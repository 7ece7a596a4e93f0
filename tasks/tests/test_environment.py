"""When an environment is made, when its packages are built again, and when it is used as it is.

A small checkout with stand-ins for Hatch and the pip beside it, which note what they were called
for; the environment's Python notes what pip was to install.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

HATCH = """#!/bin/sh
echo "hatch $* ${PIP_NO_INDEX:+without an index}" >>calls
mkdir -p .hatch/$3/bin
printf '#!/bin/sh\\necho "${4#--} $5 members ${PIP_NO_INDEX:+without an index}" >>calls\\n' \\
  >.hatch/$3/bin/python
chmod +x .hatch/$3/bin/python
"""
PIP = """#!/bin/sh
[ "$4 $7" = 'download --require-hashes' ] || exit 3
echo download $(sed -n 's/==.*//p' "${8#--requirement=}") >>calls
"""
LOCK = "".join(
    f"{pin} \\\n    --hash=sha256:{number}\n    # via {reason}\n"
    for number, (pin, reason) in enumerate(
        [("b==1", "-r declared"), ("c==2", "b"), ("editables==3", "-r declared"), ("other==4", "x")]
    )
)
TOOL = "hatch==5 \\\n    --hash=sha256:5\n"
SETTINGS = """
[dependency-groups]
editable = ["editables>=0"]
hatch = ["hatch"]
[tool.hatch.envs]
demo.dependencies = ["b"]
default.dependencies = []
"""

DOWNLOADED = "download b c editables"
MADE = "hatch env create demo without an index"
BUILT = "quiet --no-deps members without an index"


class Checkout:
    """A copy of what decides, in a folder of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        shutil.copytree(ROOT / "tasks", root / "tasks", ignore=shutil.ignore_patterns("tests"))
        self.lock = root / "tasks" / "lock" / "development.txt"
        self.lock.write_text(LOCK + TOOL)
        (root / "pyproject.toml").write_text(SETTINGS)
        self.native = root / "packages" / "a" / "native" / "main.zig"
        self.native.parent.mkdir(parents=True)
        self.native.write_text("// first\n")
        self.metadata = root / "packages" / "a" / "pyproject.toml"
        self.metadata.write_text('build-system.requires = []\n[project]\nname = "a"\n')
        tool = root / ".hatch" / "tools" / "hatch"
        self.hatch = tool / "bin" / "hatch"
        self.pip = tool / "bin" / "python"
        tool.joinpath("bin").mkdir(parents=True)
        for program, text in ((self.hatch, HATCH), (self.pip, PIP)):
            program.write_text(text)
            program.chmod(0o755)
        (tool / "stamp").write_text(f"{root}\n{sys.version}\n{TOOL}")

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


def test_made_once_from_what_is_locked(checkout: Checkout) -> None:
    """The first use makes the environment of wheels with known hashes, the second finds it made."""
    assert checkout.prepare() == [DOWNLOADED, MADE]
    assert checkout.prepare() == []


def test_changed_metadata_makes_it_anew(checkout: Checkout) -> None:
    """A package that may be built otherwise means another environment, of the same wheels."""
    checkout.prepare()
    checkout.metadata.write_text(checkout.metadata.read_text() + 'version = "1"\n')
    assert checkout.prepare() == [MADE]


def test_changed_lock_makes_it_anew(checkout: Checkout) -> None:
    """Another version means another environment, and the wheels of before are gone."""
    checkout.prepare()
    checkout.lock.write_text((LOCK + TOOL).replace("c==2", "c==3"))
    assert checkout.prepare() == [DOWNLOADED, MADE]
    assert len(list(checkout.root.glob(".hatch/cache/wheels/*"))) == 1


def test_what_others_need_changes_nothing(checkout: Checkout) -> None:
    """Another version of what this environment does not get leaves it as it is."""
    checkout.prepare()
    checkout.lock.write_text((LOCK + TOOL).replace("other==4", "other==5"))
    assert checkout.prepare() == []


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


@pytest.mark.parametrize("failing", ["hatch", "pip"])
def test_failing_tool_is_told(checkout: Checkout, failing: str) -> None:
    """When Hatch fails, or a wheel is not the locked one, the environment counts as not made."""
    program: Path = getattr(checkout, failing)
    text = program.read_text()
    program.write_text("#!/bin/sh\nexit 3\n")
    with pytest.raises(subprocess.CalledProcessError):
        checkout.prepare()
    program.write_text(text)
    assert checkout.prepare()[-1] == MADE


def test_declared_but_not_locked_is_told(checkout: Checkout) -> None:
    """What the lock lacks is not installed without a hash."""
    checkout.lock.write_text(TOOL)
    with pytest.raises(subprocess.CalledProcessError):
        checkout.prepare()
    assert not (checkout.root / "calls").exists()
