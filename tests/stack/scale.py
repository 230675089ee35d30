"""The overlay for compose, as the compose program reads it."""

from __future__ import annotations

from pathlib import Path

from exporter import SERVICE_NAME
from tests.stack.compose import OWN_VALUES, Compose, Tree
from tests.stack.servers import Programs

SECOND = f"{SERVICE_NAME}-2"
STORAGE = {"S3_ENDPOINT": "objects.example.com", "S3_ACCESS_KEY": "own-id", "S3_SECRET_KEY": "own-password"}
VALUES = {**OWN_VALUES, "COMPOSE_FILE": "docker-compose.yml:docker-compose.scale.yml", **STORAGE}


def overlay(programs: Programs, folder: Path, *profiles: str) -> Tree:
    """Return the services of both files, whose names the compose program reads from a variable."""
    return Compose(programs["compose"], folder).services(VALUES, *profiles)
