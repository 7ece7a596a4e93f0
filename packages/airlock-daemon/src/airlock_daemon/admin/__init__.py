"""What a person runs: commands, findings, logs. Nothing below imports it."""
