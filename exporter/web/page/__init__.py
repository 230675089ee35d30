"""The status page: an overview of all providers, and a page for each."""
