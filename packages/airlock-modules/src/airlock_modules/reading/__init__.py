"""How the arguments of a tool are read: by an option table, or by their form alone."""
