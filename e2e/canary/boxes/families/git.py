"""git on a poisoned repository: what its configuration names runs, and that is in the box."""

from collections.abc import Iterator, Mapping

from e2e.canary.attack import Attack, Family
from e2e.canary.boxes.git_tables import CLASSES, FILES, LINKS, SETTINGS, VARIABLES
from e2e.canary.boxes.repository import poison
from e2e.canary.boxes.run import why_not
from e2e.canary.boxes.scene import BoxScene
from e2e.world.lines import TERMINAL

# The host later ran what a sandbox had written.
_WRITTEN = (
    *("CVE-2026-25725", "CVE-2026-48124", "CVE-2026-26268", "CVE-2026-73217", "CVE-2026-45033"),
    *("CVE-2026-72718", "CVE-2026-71963", "CVE-2026-55607", "CVE-2026-40068"),
)
# A link led out of the sandbox.
_LINKED = ("CVE-2026-39861", "CVE-2026-25724")
# A transport that runs a program, in another case.
_CASES = ("CVE-2026-28292",)


def _attack(
    name: str,
    marked: str,
    settings: Mapping[str, str] = {},
    *,
    link: tuple[str, str] = ("", ""),
    files: Mapping[str, str] = {},
    variables: Mapping[str, str] = {},
    tries: tuple[str, ...] = (),
) -> Attack:
    """`link` is a path in the repository, and what the link there leads to; `files` have texts."""
    words = marked.removeprefix("- ")

    def run(scene: BoxScene) -> bytes:
        poison(scene, settings, files)
        if link[0]:
            path = scene.world.workspace / link[0]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
            path.symlink_to(scene.fill(link[1]))
        # A space that is part of a word has a backslash before it.
        spelled = scene.fill(words.replace("\\ ", "\0"))
        split = [word.replace("\0", " ") for word in spelled.split()]
        if {"-p", "-i"} & {*split}:
            return scene.run("git", *split, features=["tty", "base64"], tty=TERMINAL)
        env = {key: scene.fill(value) for key, value in variables.items()}
        return scene.run("git", *split, features=["env"], env=env)

    return Attack(f"{name}{words}", "box-files", run, words == marked, tries=tries)


def _attacks() -> Iterator[Attack]:
    for settings, words in SETTINGS:
        tries = (*_WRITTEN, *(_CASES if "ext::" in str(settings) else ()))
        yield _attack(f"{', '.join(settings)} by ", words, settings, tries=tries)
    for path, target, words in LINKS:
        name = f"{path} a link to {target}, by "
        yield _attack(name, words, link=(path, target), tries=_LINKED)
    for files, words in FILES:
        yield _attack(f"{' and '.join(files)} by ", words, files=files, tries=_WRITTEN)
    for variables, words in VARIABLES:
        yield _attack(f"{' and '.join(variables)} for ", words, variables=variables)
    for each, lines in CLASSES.items():
        for words in lines:
            tries = _CASES if "ext::" in words.lower() else ()
            yield _attack(f"box-git/{each}: ", words, tries=tries)


FAMILY = Family("box-git", tuple(_attacks()), why_not)
