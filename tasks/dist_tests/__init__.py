"""Tests of ``dist/`` by ``./dev build --check``; not part of ``./dev test``, which builds none."""
