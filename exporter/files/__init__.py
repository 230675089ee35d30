"""Files that settings name: bounded reads, secrets, strict YAML, reloads."""
