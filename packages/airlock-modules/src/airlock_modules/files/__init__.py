"""TOML files written by people: modules, option tables, and the built-in ones of this package."""
