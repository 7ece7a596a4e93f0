"""Rules of a git module that git-remote, which sees no flags, cannot apply."""

from collections.abc import Iterator, Sequence

from airlock_daemon.setup.agents import Agent
from airlock_daemon.setup.profile import USE_REFS
from airlock_modules import GIT_REMOTE, Fault, Module, list_unseen, load_builtin
from airlock_wire import quote


def find_vain_rules(agent: Agent, narrowed: Module) -> Iterator[Fault]:
    """Find rules of `[deny] git` without effect, since the agent has git-remote alone."""
    kept = set(list_unseen_rules(agent.modules.find("git")))
    if rules := [rule for rule in list_unseen_rules(narrowed) if rule not in kept]:
        problem = f"{name_rules(rules)} no effect: {GIT_REMOTE} sees refs, not flags"
        yield Fault(agent.profile_file, "deny.git", problem, USE_REFS)


def list_unseen_rules(module: Module | None) -> list[str]:
    """A git module's rules that match no git-remote request, without the built-in's."""
    if module is None:
        return []
    builtin = set(list_unseen(load_builtin("git").rules))
    return [rule for rule in list_unseen(module.rules) if rule not in builtin]


def name_rules(rules: Sequence[str]) -> str:
    """The first of these rules as the subject of a sentence, with its verb."""
    shown = ", ".join(quote(rule, limit=60) for rule in rules[:3])
    return f"{shown}{', ...' if len(rules) > 3 else ''} {'has' if len(rules) == 1 else 'have'}"
