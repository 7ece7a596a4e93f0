import subprocess
import sys

import airlock_modules


def test_everything_public_is_there_and_documented() -> None:
    """Exported names exist, are sorted with constants first, and have docstrings."""
    names = [name for name in airlock_modules.__all__ if name != "__version__"]
    assert names == sorted(names, key=lambda name: (not name.isupper(), name))
    undocumented = [name for name in names if not getattr(airlock_modules, name).__doc__]
    assert undocumented == []


def test_nothing_about_apis_is_loaded_for_who_has_none() -> None:
    """Reading a built-in module without an API loads nothing about APIs."""
    program = "import sys, airlock_modules; airlock_modules.load_builtin('git')\n"
    program += "print([name for name in sys.modules if '.api' in name])"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
