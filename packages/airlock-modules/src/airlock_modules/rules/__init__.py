"""The rules of a module, and judging parsed arguments by them."""
