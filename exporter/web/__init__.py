"""The HTTP server: `/metrics`, the status page, health checks."""
