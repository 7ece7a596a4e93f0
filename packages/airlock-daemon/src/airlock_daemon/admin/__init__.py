"""Commands for people: findings, logs. Nothing below imports it."""
