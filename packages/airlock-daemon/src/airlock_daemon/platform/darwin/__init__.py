"""macOS: calls of libSystem that Python lacks; `doctor --self-test` proves them on a Mac."""
