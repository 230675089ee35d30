"""`doctor`: asks every link of the chain, from the settings to Grafana, whether it works."""
