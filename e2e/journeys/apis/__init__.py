"""APIs in containers of `run` that have no network and no credential."""
