"""Web configuration of the Prometheus exporter toolkit: TLS, authentication, reloads."""
