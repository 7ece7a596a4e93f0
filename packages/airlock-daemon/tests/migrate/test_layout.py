"""Tests of `airlock_daemon.migrate.layout`: which release the files are of."""

import pytest

from airlock_daemon.migrate.layout import Layout, Signs, recognise
from airlock_daemon.migrate.unit import ReleasedUnit

FIRST = frozenset({"commands", "hooks"})
SECOND = FIRST | {"profiles", "sockets"}
STARTER = '# [commands]\n# enable = ["git"]\n'
ENABLED = '[commands]\nenable = ["git"]\n'
UNIT = ReleasedUnit(directory="/home/me")


@pytest.mark.parametrize(
    ("signs", "layout"),
    [
        (Signs(), "none"),
        (Signs(others=("settings.json",)), "unknown"),
        (Signs(folders=frozenset({"modules"})), "unknown"),
        # What init of each release leaves, with and without its service.
        (Signs(folders=FIRST), "v0.1"),
        (Signs(folders=FIRST, unit=UNIT), "v0.1"),
        (Signs(folders=FIRST, config="[log]\nmax_files = 3\n"), "v0.1"),
        (Signs(folders=frozenset({"commands"})), "v0.1"),
        (Signs(folders=SECOND, is_open=True), "v0.2"),
        (Signs(folders=SECOND, is_open=True, config=STARTER), "v0.3"),
        (Signs(folders=frozenset({"sockets"}), is_open=True, config=STARTER), "v0.4"),
        (Signs(folders=frozenset({"sockets"}), config=STARTER, unit=UNIT), "v0.4"),
        (Signs(unit=UNIT, config=ENABLED), "v0.4"),
        # A service alone has nothing that could be carried over.
        (Signs(unit=UNIT), "none"),
        # What a person has made of it.
        (Signs(folders=SECOND, profiles=("web",), sockets=("web",), is_open=True), "v0.2"),
        (Signs(folders=SECOND, profiles=("web",), config="[log]\n"), "v0.2"),
        (Signs(folders=SECOND, profiles=("web",), config=ENABLED), "v0.3"),
        (Signs(folders=SECOND, profiles=("web",), config="= no TOML, but # enable\n"), "v0.2"),
        (Signs(has_registration=True, config=ENABLED, unit=UNIT), "v0.4"),
        (Signs(has_registration=True, config=ENABLED, sockets=("a",), is_open=True), "v0.4"),
        # A host that went through several: the last one that could serve it counts.
        (Signs(folders=FIRST | {"sockets"}, config=STARTER), "v0.1"),
        (Signs(folders=SECOND, profiles=("web",), has_registration=True, unit=UNIT), "v0.4"),
        # This release's own.
        (Signs(folders=frozenset({"sockets"}), config=STARTER), "ours"),
        (Signs(folders=frozenset({"sockets"}), is_open=True), "ours"),
        (Signs(config=ENABLED), "ours"),
        (Signs(has_registration=True, config=ENABLED, is_open=True), "ours"),
        (Signs(has_registration=True, sockets=("a",), is_known=True, is_open=True), "ours"),
        (Signs(has_registration=True, sockets=("a",)), "ours"),
        (Signs(folders=SECOND, profiles=("web",), has_registration=True), "ours"),
        (Signs(folders=SECOND, profiles=("web",), is_known=True, config=ENABLED), "ours"),
        (Signs(folders=frozenset({"hooks"}), config=ENABLED), "ours"),
        # A migration that was begun, whatever else there is by then.
        (Signs(has_registration=True, config=ENABLED, unfinished="v0.2"), "v0.2"),
    ],
)
def test_a_layout_is_told_by_what_is_there(signs: Signs, layout: Layout) -> None:
    """And by nothing else."""
    assert recognise(signs) == layout
