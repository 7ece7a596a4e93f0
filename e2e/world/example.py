"""The compose projects of docker/, as these tests start them."""

from collections.abc import Sequence
from pathlib import Path

from .compose import Composition
from .engine import LABEL, WORKER
from .images import Images
from .product import RECIPES, Product

AGENT = f"airlock-e2e/example-agent-{WORKER}"
"""The image that the tests build for agents: Debian, whose git has the shim."""


def describe_example(
    *, product: Product, images: Images, folder: Path, on_workspace: bool = False
) -> Composition:
    """Describe docker/compose.yaml, with git in the agent's image.

    With `on_workspace` docker/workspace's is merged over it, for busybox with the shim.
    """
    override = _override("prepare", "git-server", "airlock", "agent", agents=["agent"])
    for service in ("prepare", "git-server"):
        override["services"][service]["image"] = "airlock-e2e/example-git-server"
    override["services"]["prepare"]["build"] = {"network": "none"}
    settings = _settings(product, images) | {"GIT_SERVER_BASE": images.debian}
    files = [RECIPES / "compose.yaml"]
    if on_workspace:
        files.append(RECIPES / "workspace" / "compose.yaml")
        settings["AGENT_BASE"] = images.busybox
    return Composition(
        *files,
        name="workspace" if on_workspace else "example",
        folder=folder,
        settings=settings,
        override=override,
    )


def describe_several(*, product: Product, images: Images, folder: Path) -> Composition:
    """Describe docker/several/compose.yaml."""
    return Composition(
        RECIPES / "several" / "compose.yaml",
        name="several",
        folder=folder,
        settings=_settings(product, images),
        override=_override("airlock", "first", "second", agents=["first", "second"]),
    )


def _settings(product: Product, images: Images) -> dict[str, str]:
    return {
        "AIRLOCK_DAEMON_IMAGE": product.daemon,
        "AIRLOCK_SHIM_IMAGE": product.shim,
        "AGENT_BASE": images.debian,
    }


def _override(*services: str, agents: Sequence[str]) -> dict[str, dict[str, dict[str, object]]]:
    """Return the override that labels the containers as ours, and builds without a network."""
    described: dict[str, dict[str, object]] = {
        name: {"labels": {LABEL: "compose"}} for name in services
    }
    for name in agents:
        described[name] |= {"image": AGENT, "build": {"network": "none"}}
    return {"services": described}
