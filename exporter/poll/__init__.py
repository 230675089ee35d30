"""The poll loop: schedule, deadline of a fetch, publishing, log records of a poll."""
