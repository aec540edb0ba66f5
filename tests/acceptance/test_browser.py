"""The preview page in a real browser."""

import subprocess
from pathlib import Path

import pytest

from tests.acceptance.organisation import CHANNELS, alert, body
from tests.programs import path_of
from tests.router_process import RouterProcess, drained

HOSTILE = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\"> <!channel> `]]>"


def dump(url: str, directory: Path) -> str:
    """The page's DOM after everything on it ran."""
    ended = subprocess.run(
        [
            path_of("chromium"),
            *(
                "--headless",
                "--disable-gpu",
                "--no-first-run",
                "--disable-extensions",
                "--disable-background-networking",
            ),
            "--no-sandbox",  # refuses to run as root otherwise; the pages are ours
            f"--user-data-dir={directory / 'profile'}",
            *("--virtual-time-budget=2000", "--dump-dom", url),
        ],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return ended.stdout


@pytest.mark.needs("chromium")
def test_a_person_sees_the_message_and_nothing_runs(preview_router: RouterProcess, tmp_path: Path) -> None:
    """One POST, and its channel's page shows the alert; what a sender wrote is text, whatever it looks like."""
    sent = body(alert("DiskFull", team="payments", summary=HOSTILE, runbook_url="javascript:alert(1)"), group="browser")
    assert preview_router.post("/webhooks/alertmanager", sent).status == 200
    preview_router.wait_until(drained)

    pages = dump(f"{preview_router.url}/preview/", tmp_path)
    assert "pay-alerts" in pages
    page = dump(f"{preview_router.url}/preview/channels/{CHANNELS['payments']}?paused", tmp_path)
    assert "DiskFull" in page
    assert "&lt;script&gt;" in page
    assert "<title>#pay-alerts" in page
    assert "<script" not in page
    assert "<img" not in page
    assert 'href="javascript:' not in page


@pytest.mark.needs("chromium")
def test_the_page_fits_a_phone(preview_router: RouterProcess, tmp_path: Path) -> None:
    """A phone-sized window is told to the style sheet, and the page can be drawn there."""
    screenshot = tmp_path / "phone.png"
    subprocess.run(
        [
            *(path_of("chromium"), "--headless", "--disable-gpu", "--no-sandbox", "--window-size=390,844"),
            *(
                f"--user-data-dir={tmp_path / 'profile'}",
                f"--screenshot={screenshot}",
                f"{preview_router.url}/preview/",
            ),
        ],
        check=True,
        capture_output=True,
        timeout=60,
    )
    assert screenshot.read_bytes().startswith(b"\x89PNG")
    assert b'name="viewport"' in preview_router.get("/preview/").body
