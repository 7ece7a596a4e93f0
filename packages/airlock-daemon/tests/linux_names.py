"""Names of the standard library that exist on Linux but not on macOS.

They are read from mypy's stubs (typeshed), which declare the platforms of each name, and are
themselves tested with each platform's Python.
"""

import ast
import functools
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace

import mypy

_STUBS = Path(mypy.__file__).parent / "typeshed" / "stdlib"

REMOVE = """
import importlib, sys, sysconfig
sysconfig.get_config_vars()  # which are those of the Python that really runs
for module, names in {missing!r}.items():
    try:
        module = importlib.import_module(module)
    except ImportError:
        continue
    for name in names:
        vars(module).pop(name, None)
sys.platform = "darwin"
"""


@functools.cache
def find_linux_names() -> dict[str, list[str]]:
    """The names by module, for modules with platform conditions."""
    found = {}
    for path in sorted(_STUBS.rglob("*.pyi")):
        text = path.read_text(encoding="utf-8")
        if "sys.platform" in text:
            body = ast.parse(text).body
            names = set(_read_names(body, "linux")) - set(_read_names(body, "darwin"))
            module = ".".join(path.relative_to(_STUBS).with_suffix("").parts)
            if names:
                found[module.removesuffix(".__init__")] = sorted(names)
    return found


@functools.cache
def remove_linux_names() -> str:
    """Python code that removes these names, and changes the system's name."""
    return REMOVE.format(missing=find_linux_names())


def _read_names(body: Iterable[ast.stmt], platform: str) -> Iterator[str]:
    for node in body:
        match node:
            case ast.If():
                yield from _read_names(
                    node.body if _is_true(node.test, platform) else node.orelse, platform
                )
            case ast.FunctionDef() | ast.ClassDef():
                yield node.name
            case ast.AnnAssign(target=ast.Name(id=name)):
                yield name
            case ast.Assign():
                yield from (each.id for each in node.targets if isinstance(each, ast.Name))
            case ast.ImportFrom():
                yield from (each.asname or each.name for each in node.names)


def _is_true(test: ast.expr, platform: str) -> bool:
    """Evaluate a condition of a stub on `sys.platform` or `sys.version_info`."""
    asked = SimpleNamespace(platform=platform, version_info=sys.version_info)
    code = compile(ast.Expression(test), "a stub", "eval")
    return bool(eval(code, {"__builtins__": {}, "sys": asked}))  # noqa: S307 - of mypy's own files
