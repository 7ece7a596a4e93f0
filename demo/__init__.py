"""The demonstration of ``./dev demo``: a push through Airlock, from nothing, in one minute.

It uses Airlock as a person would, through its two programs and its files, and imports none of
its packages: the standard library, and of ``e2e.world`` what starts a daemon and finds an engine.
``story.py`` is what it shows.
"""
