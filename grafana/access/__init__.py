"""Applies access rules to teams and folder permissions of Grafana: `python -m grafana.access`.

rules (the file) and settings (the environment) ─▶ state (of Grafana) ─▶ plan (the difference) ─▶ apply
"""
