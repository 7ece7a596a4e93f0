"""What ``./dev build --check`` asks of ``dist/``; not part of ``./dev test``, which builds none."""
