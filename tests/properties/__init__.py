"""Properties of any input, tested with inputs from Hypothesis."""
