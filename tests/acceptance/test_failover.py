"""The primary of a PostgreSQL pair dies under load; row 29 of the fault table in docs."""

import pytest

from tests.torture.failovers import BACK_WITHIN_S, fail_over

pytestmark = pytest.mark.needs("postgres")


def test_29_a_promoted_standby_has_all_that_was_acknowledged() -> None:
    """503 while there is no primary, then the routers find the new one by themselves: 0 acknowledged alerts lost."""
    done = fail_over(0, seed=29)
    assert done.outcome.failures == []
    assert done.outcome.duplicates.total() == 0
    assert done.refused > 0
    assert done.back_after_s < BACK_WITHIN_S
    assert done.outcome.alerts > 0
