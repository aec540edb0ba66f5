"""A workspace whose clock stands still, and a client in it."""

from collections.abc import Iterator

import pytest

from router.preview.rates import Rates
from tests.preview.workspace import Client, still_server


@pytest.fixture
def client() -> Iterator[Client]:
    """Without rate limits, which have tests of their own."""
    with still_server(Rates.unlimited()) as server:
        yield Client(server)


@pytest.fixture
def limited() -> Iterator[Client]:
    with still_server(Rates.strict()) as server:
        yield Client(server)
