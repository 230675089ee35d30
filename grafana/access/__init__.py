"""Brings teams and folder permissions of Grafana to what a file says: `python -m grafana.access`.

rules (the file) and settings (the environment) ─▶ state (what Grafana has) ─▶ plan (the difference) ─▶ apply
"""
