"""Routers for the acceptance tests, all as real processes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from router.preview.workspace import ChannelSeed
from tests.acceptance.organisation import CHANNELS, write_map
from tests.router_process import RouterProcess, SlackAccess
from tests.slack import SlackServer


@pytest.fixture(scope="module")
def preview_router(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RouterProcess]:
    """One router in preview mode for all tests of a module: they must not mind each other's notifications."""
    directory = tmp_path_factory.mktemp("router")
    with RouterProcess(directory, ownership=write_map(directory)) as router:
        yield router


@pytest.fixture
def router(tmp_path: Path, slack: SlackServer) -> Iterator[RouterProcess]:
    """A router that posts to `slack`, whose channels are those of the map."""
    slack.emulator.seed(channels=[ChannelSeed(id=id_, name=id_.lower()) for id_ in CHANNELS.values()])
    access = SlackAccess(api_url=slack.api_url, token=slack.token)
    with RouterProcess(tmp_path, ownership=write_map(tmp_path), slack=access) as router:
        yield router
