"""The HTTPS broker: APIs for tools that have a placeholder instead of a credential."""
