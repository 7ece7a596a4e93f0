"""The faithful-proxy suite: a command through Airlock, byte for byte like the direct run."""
