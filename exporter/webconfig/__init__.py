"""Web configuration files of the Prometheus exporter toolkit: TLS, authentication, reloads."""
