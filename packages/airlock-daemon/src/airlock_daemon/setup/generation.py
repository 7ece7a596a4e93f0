"""What one reading of the files gave for one agent."""

import msgspec

from airlock_daemon.setup.agents import Agent
from airlock_daemon.setup.apis import AgentApis
from airlock_daemon.setup.boxes import BoxConfig
from airlock_daemon.setup.hooks import HookLimits
from airlock_daemon.setup.limits import Limits
from airlock_daemon.setup.programs import Programs
from airlock_daemon.setup.reserved import Reserved
from airlock_modules import Grant, Module


class Generation(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that decides about an agent's requests. A request keeps the one it began with.

    `grant` is what the evaluator decides by: ceiling, profile and active modules. `git_rules` is
    what git may do for this agent, whether it has it or git-remote alone. Without
    `pass_descriptors` all output goes through the daemon. `git_config` is the text of what git in a
    box is configured with, and `signs_commits` whether the human's own git would sign what it
    commits there. `apis` are those of its containers. `workspaces` are all directories of the host
    that a profile maps, of whichever agent.
    """

    agent: Agent
    grant: Grant
    git_rules: Module
    limits: Limits
    hook_limits: HookLimits
    reserved: Reserved
    programs: Programs
    boxes: BoxConfig
    apis: AgentApis = AgentApis()
    workspaces: tuple[str, ...] = ()
    git_config: bytes = b""
    signs_commits: bool = False
    pass_descriptors: bool
