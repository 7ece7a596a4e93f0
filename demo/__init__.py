"""The demonstration of ``./dev demo``: a push through Airlock, from nothing, in one minute.

It uses Airlock as a person would, through its two programs and its files, and imports none of
its packages; standard library only. ``story.py`` is what it shows.
"""
