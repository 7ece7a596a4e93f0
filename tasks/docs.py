"""``./dev docs``: the documentation as a site."""

from collections.abc import Sequence
from pathlib import Path

from tasks.environment import prepare_environment
from tasks.errors import TaskError
from tasks.hostile import run_evidence
from tasks.places import HATCH, ROOT


def build_docs(arguments: Sequence[str]) -> int:
    """Build the site in .hatch/site and return mkdocs' exit status.

    Each warning is a failure, such as a broken link or a page in no menu, and so is a page of
    evidence that is not what ``./dev evidence`` makes. With ``--pictures`` it
    instead regenerates docs/pictures from the programs' output.
    """
    if [*arguments] == ["--pictures"]:
        default = prepare_environment("default")
        return default.run([default.python, "-m", "tasks.pictures"])
    if arguments:
        raise TaskError("docs takes no arguments but --pictures, which makes docs/pictures anew")
    if run_evidence(["--check"]) != 0:
        return 1
    environment = prepare_environment("docs")
    site = HATCH / "site"
    command: list[str | Path] = [environment.find("mkdocs"), "build", "--strict", "--quiet"]
    command += ["--site-dir", site, "--config-file", ROOT / "mkdocs.yml"]
    # Otherwise it advertises other programs.
    extra = {"NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(ROOT)}
    status = environment.run(command, extra=extra)
    if status == 0:
        print(f"dev: the site is in {site.relative_to(ROOT)}, begin with index.html")
    return status
