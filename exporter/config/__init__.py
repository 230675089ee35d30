"""Settings: the environment and flags, read once into frozen values."""
