"""Coverage-guided fuzzing of what reads text from somebody else.

Each target is a file with a function that takes bytes and raises where a promise is broken. The
search for such bytes needs atheris; looking at bytes that were found needs the packages alone.
"""
