"""The suites of canaries: their families, their guards, and how their attacks are carried out."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from e2e.canary import run as brokers
from e2e.canary.apis import scene as apis
from e2e.canary.apis.families import API_FAMILIES
from e2e.canary.attack import (
    API_GUARANTEES,
    BOX_GUARANTEES,
    ENGINE_GUARANTEES,
    GUARANTEES,
    PROMISES,
    Attack,
    Family,
)
from e2e.canary.boxes import run as boxes
from e2e.canary.boxes.catalogue import BOX_FAMILIES
from e2e.canary.boxes.world import WAYS
from e2e.canary.catalogue import FAMILIES
from e2e.canary.engine import scene as engines
from e2e.canary.engine.families import ENGINE_FAMILIES
from e2e.canary.run import Result

_ID = re.compile(r"G\d+|CVE-[\d-]+|GHSA-\S+|\w+#\d+|audit-\d+")


class Suite(NamedTuple):
    """Attacks on one part of Airlock.

    `carry` tries attacks, with the guard of this name off if there is one: of boxes, in each way of
    making them.
    """

    families: Sequence[Family]
    guarantees: Mapping[str, str]
    carry: Callable[[Sequence[Attack], str | None], list[Result]]


def _out_of_boxes(attacks: Sequence[Attack], without: str | None) -> list[Result]:
    ways = [by for by in WAYS if without is None or boxes.can_be_off(without, by)]
    return [each for by in ways for each in boxes.carry_out(attacks, by=by, without=without)]


SUITES: Mapping[str, Suite] = {
    "brokers": Suite(
        FAMILIES, GUARANTEES, lambda attacks, off: brokers.carry_out(attacks, without=off)
    ),
    "apis": Suite(
        API_FAMILIES, API_GUARANTEES, lambda attacks, off: apis.carry_out(attacks, without=off)
    ),
    "engine": Suite(
        ENGINE_FAMILIES,
        ENGINE_GUARANTEES,
        lambda attacks, off: engines.carry_out(attacks, without=off),
    ),
    "boxes": Suite(BOX_FAMILIES, BOX_GUARANTEES, _out_of_boxes),
}
"""By name, in the order in which they are carried out."""


def list_attacks() -> Iterator[tuple[str, Family, Attack]]:
    """Every attack, with the names of its suite and its family."""
    for name, suite in SUITES.items():
        for family in suite.families:
            for attack in family.attacks:
                yield name, family, attack


def is_selected(what: str, family: Family, attack: Attack) -> bool:
    """Whether `what` is an id that an attack tries, its family, its guard, or part of its name.

    A guarantee, such as G5, is an id of each attack whose guard belongs to it.
    """
    ids = (*attack.tries, PROMISES.get(attack.guard, "G4"))
    if _ID.fullmatch(what):
        return what in ids
    return what in (family.name, attack.guard) or what in attack.name
