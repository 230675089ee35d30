"""A benchmark of the exporter against other exporters and against static files from nginx: `make bench`.

A run: a fleet → a gateway that serves it → contestants that poll it → measurements → a report.
"""
