"""What the documentation shows is typed on a host that is as it asks for."""
