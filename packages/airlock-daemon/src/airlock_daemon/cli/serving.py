"""Serving with chosen options."""

import logging

from airlock_daemon.cli.chosen import Options
from airlock_daemon.serving.daemon import run_daemon
from airlock_daemon.setup.load import load_setup


def serve(chosen: Options) -> None:
    """Load everything and serve until told to stop; raises SetupError and AirlockError."""
    setup = load_setup(chosen.locations())
    logging.getLogger("airlock").setLevel(setup.config.log_level)
    run_daemon(setup)
