"""A command's box, as `show` and `test` describe it."""

from airlock_daemon.setup.config import BoxConfig
from airlock_modules import Module


def describe_box(module: Module, config: BoxConfig) -> str | None:
    """Describe a command's box for a person, as far as the files tell.

    None for a broker's command, and for a module with APIs only.
    """
    if module.broker is not None or not module.has_command:
        return None
    if module.lacks_box:
        return f"refused: {module.source} names no [sandbox] box"
    if not module.wants_box:
        return "off: it runs on the host as the daemon's user"
    if config.mode == "off":
        said = "[sandbox] mode of config.toml"
        return f"refused: {said} is off" if module.relies_on_box else f"off: so says {said}"
    if module.shows_home:
        return f"{BoxConfig.HOME_CLASS}: it can read and send away every credential in your home"
    network = () if module.sandbox is None else module.sandbox.network
    engine = ["its agent's docker engine"] if module.has_engine else []
    reached = (*engine, *(["its agent's APIs"] if module.uses_apis else []), *network)
    return f"closed, but for {', '.join(reached)}" if reached else "closed"
