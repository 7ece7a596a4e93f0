"""The HTTPS broker: APIs for tools that hold a placeholder in the place of a credential."""
