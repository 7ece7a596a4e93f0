"""A release is installed by each channel and pushes; then the next, by the same channel."""

import os
import sys
from collections.abc import Callable
from time import monotonic

import pytest
from e2e.world.command import run
from tasks.release.checksums import digest

from .channels import CHANNELS, World
from .releases import Release

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(2700)]


@pytest.mark.parametrize("channel", CHANNELS)
def test_a_channel_installs_and_upgrades(
    channel: str,
    releases: tuple[Release, Release],
    world: World,
    record_property: Callable[[str, object], None],
) -> None:
    """From nothing to a push, and to another of the next version; the report has the seconds."""
    with CHANNELS[channel](world) as use:
        for number, release in enumerate(releases):
            began = monotonic()
            used = use(release, f"agent/{number}")
            record_property(("installed", "upgraded")[number], f"{monotonic() - began:.1f}")
            assert release.version in used.version.splitlines()[0].split()
            assert used.arrived == used.pushed


def test_the_formula_and_the_flake_are_of_each_release(releases: tuple[Release, Release]) -> None:
    """By their own tests, in the tagged commit, against what it published; no brew or nix here."""
    for release in releases:
        formula = (release.dist / "release/recipes/airlock.rb").read_text()
        assert f'version "{release.version}"' in formula
        wheels = [*release.dist.glob("*.whl")]
        assert wheels
        assert all(digest(wheel) in formula for wheel in wheels)
        words = ("pytest", "-q", "tasks/dist_tests/test_recipes.py", "-p", "no:cacheprovider")
        tests = (sys.executable, "-m", *words, f"--distributions={release.dist}")
        checkout = str(release.checkout)
        variables = os.environ | {"PYTHONPATH": checkout}
        done = run(tests, cwd=checkout, env=variables, longest_s=600).succeeded()
        assert "skipped" not in done.stdout
