"""What every test may use: a strict Slack, a router without its server, `needs(program)` for real programs."""

from tests.house import tell
from tests.programs import pytest_runtest_setup
from tests.slack import slack

__all__ = ["pytest_runtest_setup", "slack", "tell"]
