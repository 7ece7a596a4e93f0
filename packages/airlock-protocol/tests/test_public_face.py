"""The public face of the package."""

import importlib
import pkgutil
import subprocess
import sys

import airlock_wire


def test_every_public_name_is_there() -> None:
    """What the package promises can be imported from it."""
    for name in airlock_wire.__all__:
        assert getattr(airlock_wire, name) is not None


def test_every_module_says_what_it_is() -> None:
    """Each module can be imported on its own, and opens with a docstring."""
    for module in pkgutil.iter_modules(airlock_wire.__path__):
        assert importlib.import_module(f"airlock_wire.{module.name}").__doc__


def test_the_package_brings_no_io() -> None:
    """Importing it loads no sockets, processes or event loop."""
    script = (
        "import sys, airlock_wire\n"
        "unwanted = {'socket', 'subprocess', 'asyncio', 'trio'}\n"
        "print(sorted(unwanted & set(sys.modules)))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert loaded.stdout == "[]\n"
