"""The poll loop: fetch, convert, publish, log what changed."""
