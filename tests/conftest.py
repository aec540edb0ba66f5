"""What every test may use: a strict Slack, a real PostgreSQL, a router without its server, `needs(program)`."""

from tests.house import database, tell
from tests.postgres import postgres, postgres_server
from tests.programs import pytest_runtest_setup
from tests.slack import slack

__all__ = ["database", "postgres", "postgres_server", "pytest_runtest_setup", "slack", "tell"]
