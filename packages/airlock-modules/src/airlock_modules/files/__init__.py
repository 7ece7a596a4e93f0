"""The TOML that people write: module files, option tables, and those that ship with the package."""
