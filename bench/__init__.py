"""What the exporter costs, beside what people would otherwise use and beside the limit: `make bench`.

The way of a run: a fleet → a gateway that serves it → contestants that poll it → measurements of each, by
turns → a report. Nothing here asserts a figure.
"""
