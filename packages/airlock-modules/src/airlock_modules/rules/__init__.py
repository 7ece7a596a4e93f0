"""What a module refuses and allows, and what that says about arguments that were read."""
