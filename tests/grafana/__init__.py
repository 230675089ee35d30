"""Tests of what Grafana shows, and to whom."""
