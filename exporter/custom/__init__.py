"""Custom metrics: a file of paths into the gateway's answers, and the gauges that are made of it."""
