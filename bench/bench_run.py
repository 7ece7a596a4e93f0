"""The context of every row: the pairs, the plan, directories, direct calls and deployments."""

import contextlib
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.calls import Call, Caller
from bench.deployment import TITLES, Deployment, Way, base_environment, deploy
from bench.errors import BenchError
from bench.pairs import Pair
from bench.plan import Plan
from bench.setup_files import find_program


class BenchRun:
    """One run. `root` is an empty directory; `work`, a git repository in it, is created here."""

    def __init__(self, pairs: tuple[Pair, ...], plan: Plan, root: Path) -> None:
        self.pairs = pairs
        self.plan = plan
        self._root = root
        # The boxes' user must be able to reach the workspaces.
        root.chmod(0o711)
        self._count = 0
        self._home = root / "home"
        self._home.mkdir()
        self.work = root / "work"
        self.work.mkdir()
        if shutil.which("git"):
            _make_repository(self.work, self._home)

    @property
    def data(self) -> Path:
        """The directory for files that commands read."""
        folder = self._root / "data"
        folder.mkdir(exist_ok=True)
        return folder

    def direct(self, name: str, *arguments: str) -> Call:
        """A call of a tool without Airlock."""
        return Call(find_program(name), (name, *arguments), base_environment(self._home))

    @contextlib.contextmanager
    def caller(self) -> Iterator[Caller]:
        """Yield a caller that times calls; in the block, the working directory is `work`."""
        with contextlib.chdir(self.work), Caller(patience_s=self.plan.patience_s) as caller:
            yield caller

    @contextlib.contextmanager
    def deploy(
        self,
        pair: Pair,
        way: Way,
        *,
        descriptors: int = 0,
        prefix: Sequence[str] = (),
        boxes: bool = False,
    ) -> Iterator[Deployment]:
        """Yield a fresh, serving daemon of a pair; the options are those of `deploy`."""
        self._count += 1
        with deploy(
            pair,
            way=way,
            root=self._root / str(self._count),
            work=self.work,
            descriptors=descriptors,
            prefix=prefix,
            boxes=boxes,
        ) as deployment:
            yield deployment

    @contextlib.contextmanager
    def deploy_all(self) -> Iterator[list[tuple[Way, Deployment]]]:
        """Yield a fresh daemon of each pair for each way."""
        with contextlib.ExitStack() as stack:
            yield [
                (way, stack.enter_context(self.deploy(pair, way)))
                for pair in self.pairs
                for way in TITLES
            ]


def _make_repository(work: Path, home: Path) -> None:
    for number in range(20):
        (work / f"file-{number:02}.txt").write_text(f"line {number}\n" * 10)
    identity = ("-c", "user.name=bench", "-c", "user.email=bench@example.com")
    for words in (("init", "--quiet"), ("add", "."), ("commit", "--quiet", "-m", "Begin")):
        done = subprocess.run(
            ["git", *identity, *words],
            cwd=work,
            env=base_environment(home),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise BenchError(f"git {words[0]} failed while preparing: {done.stderr.strip()}")
