"""git on a poisoned repository: what its configuration names runs, and that is in the box."""

from collections.abc import Iterator, Mapping

from e2e.canary.attack import Attack, Family
from e2e.canary.boxes.git_tables import CLASSES, FILES, LINKS, SETTINGS, VARIABLES
from e2e.canary.boxes.repository import poison
from e2e.canary.boxes.run import why_not
from e2e.canary.boxes.scene import BoxScene
from e2e.world.lines import TERMINAL


def _attack(
    name: str,
    marked: str,
    settings: Mapping[str, str] = {},
    *,
    link: tuple[str, str] = ("", ""),
    files: Mapping[str, str] = {},
    variables: Mapping[str, str] = {},
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

    return Attack(f"{name}{words}", "box-files", run, words == marked)


def _attacks() -> Iterator[Attack]:
    for settings, words in SETTINGS:
        yield _attack(f"{', '.join(settings)} by ", words, settings)
    for path, target, words in LINKS:
        yield _attack(f"{path} a link to {target}, by ", words, link=(path, target))
    for files, words in FILES:
        yield _attack(f"{' and '.join(files)} by ", words, files=files)
    for variables, words in VARIABLES:
        yield _attack(f"{' and '.join(variables)} for ", words, variables=variables)
    for each, lines in CLASSES.items():
        for words in lines:
            yield _attack(f"box-git/{each}: ", words)


FAMILY = Family("box-git", tuple(_attacks()), why_not)
