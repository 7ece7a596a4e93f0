"""What keeps the promise: identity, workspaces, boxes, commands and brokers."""
