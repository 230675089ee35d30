"""Files of settings: bounded reads, secrets, strict YAML, reloads."""
