"""Signs an agent's commits and tags with the human's key, or with one for agents."""
