"""The boundary: identity, workspaces, boxes, commands and brokers."""
