"""The commands of ``./dev``, one file each.

They run on the Python that ``./dev`` found, before anything is installed: standard library only.
Everything they make is below ``.hatch/`` in the checkout.
"""
