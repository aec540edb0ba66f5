"""What every test may use: the strict Slack, and `needs(program)` for tests of real programs."""

from tests.programs import pytest_runtest_setup
from tests.slack import slack

__all__ = ["pytest_runtest_setup", "slack"]
