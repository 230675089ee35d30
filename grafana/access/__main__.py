"""Run the command line."""

from __future__ import annotations

from grafana.access.cli import main

if __name__ == "__main__":
    main()
