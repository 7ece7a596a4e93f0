"""What ``./dev`` does, one file a command.

Runs on the Python that ``./dev`` found, before anything is installed: standard library only.
Everything it makes is kept below ``.hatch/`` in the checkout.
"""
