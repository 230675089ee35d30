"""The `doctor` command: checks of every part from the settings to Grafana."""
