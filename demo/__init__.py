"""The demonstration of ``./dev demo``: a push through Airlock, from nothing, in one minute.

It uses Airlock as a user would, through its two programs and its files, and imports none of its
packages: only the standard library, and the parts of ``e2e.world`` that start a daemon and find an
engine. ``story.py`` has the steps.
"""
