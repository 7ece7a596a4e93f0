"""No agent starves another: places, turns, starts and pace."""
