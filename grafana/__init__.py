"""What Grafana shows, and to whom."""
