"""Secrets, and people's e-mail addresses (OWN801)."""

import time

import pytest

from router.lint import secrets
from tests.lint.marked_maps import ROOT, at_marks, found, told

TOKEN = "xoxb-" + "1234567890-abcdefghij"  # in two, so that no scanner takes it for one
WEBHOOK = "https://hooks.slack.com/" + "services/T0000/B0000/XXXX"
PASSWORD = "https://user:hunter2@example.com/x"
TEAM = "channel: {name: c, id: C0CCCCCCCC}"


@pytest.mark.parametrize(
    "body",
    [
        pytest.param("  c: {" + TEAM + f", note: §the token is {TOKEN}}}\n", id="a note"),
        pytest.param("  c: {" + TEAM + f", note: §'{WEBHOOK}'}}\n", id="a webhook, in quotes"),
        pytest.param("services:\n  s: {owner: a, runbook: §" + PASSWORD + "}\n", id="a password in an address"),
        pytest.param("jobs:\n  j:\n    owner: a\n    rerun:\n      safety: safe\n      how: §|\n        "
                     f"curl -d x {WEBHOOK}\n", id="a block"),
        pytest.param("rules:\n  - {id: r, match: {§" + TOKEN + ": b}, owner: a}\n", id="a key"),
        pytest.param("tests:\n  - {labels: {a: §" + TOKEN + "}, expect: {owner: null}}\n", id="a test"),
        pytest.param(f"# rotate §{TOKEN} soon\n", id="a comment"),
        pytest.param(f"org: x # §{TOKEN}\n", id="a comment behind a value"),
        pytest.param("services:\n  s: {owner: a, onwer: §" + TOKEN + "}\n", id="a value of an unknown key"),
        pytest.param("org: x\norg: §" + TOKEN + "\n", id="a value that is not read"),
        pytest.param("org: [x\n# §" + TOKEN + "\n", id="in a file that is not YAML"),
    ],
)  # fmt: skip
def test_a_secret_anywhere(body: str) -> None:
    """It is told at the value, or where it stands, once, and never quoted."""
    text = ROOT + body
    assert told(secrets.check, text) == at_marks("OWN801 error", text)
    (finding,) = found(secrets.check, text)
    assert not any(secret in repr(finding) for secret in (TOKEN, WEBHOOK, "hunter2"))


def test_what_the_loader_has_told_is_not_told_again() -> None:
    """A channel that is a webhook is refused by its shape, as OWN801."""
    text = ROOT + "  c: {channel: " + WEBHOOK + "}\n"
    assert told(secrets.check, text) == []


def test_two_secrets_of_one_line() -> None:
    """Each value has its own finding; two in one value are one."""
    text = ROOT + f"services:\n  s: {{owner: a, aliases: [§{TOKEN}, §'{TOKEN}2 {TOKEN}3']}}\n"
    assert told(secrets.check, text) == at_marks("OWN801 error, OWN801 error", text)


@pytest.mark.parametrize(
    "how",
    [
        pytest.param("psql postgres://app:$PGPASSWORD@db/pay", id="a variable"),
        pytest.param("psql postgres://app:${PGPASSWORD}@db/pay", id="a variable in braces"),
        pytest.param("ssh://deploy@build-1.example.com:22/x", id="a user without password"),
        pytest.param("curl https://example.com:8443/@x", id="a port"),
        pytest.param("grep xoxb- log", id="the beginning of a token"),
    ],
)
def test_what_is_no_secret(how: str) -> None:
    """Names of secrets may be written down."""
    text = ROOT + f"jobs:\n  j: {{owner: a, rerun: {{safety: safe, how: '{how}'}}}}\n"
    assert told(secrets.check, text) == []


@pytest.mark.parametrize(
    ("body", "codes"),
    [
        pytest.param("  c: {" + TEAM + ", note: §ask Jane <jane.doe@example.com>}\n", "OWN801 warning", id="a note"),
        pytest.param("  c: {" + TEAM + ", lead: {email: §jane@example.com}}\n", "OWN801 warning", id="a lead"),
        pytest.param("  c: {" + TEAM + ", note: §担当はjane@example.com。}\n", "OWN801 warning", id="in Japanese"),
        pytest.param("  c: {" + TEAM + ", note: write to payments-oncall@example.com}\n", "", id="a shared mailbox"),
        pytest.param("  pay-core: {" + TEAM + ", note: write to pay-core@example.com}\n", "", id="a team's mailbox"),
        pytest.param("  c: {" + TEAM + ", github_team: 'git@github.com:example/pay'}\n", "", id="a repository"),
        pytest.param("  c: {" + TEAM + ", note: image app@v1.2.3 and @c-oncall}\n", "", id="a version and a mention"),
        pytest.param("services:\n  s: {owner: a, runbook: https://r.example/~j@example.com}\n", "", id="a web address"),
        pytest.param(
            "jobs:\n  j: {owner: a, rerun: {safety: safe, how: ssh jane@batch-1.example.com}}\n", "", id="a login"
        ),
        pytest.param("services:\n  s: {owner: a, severity_map: {jane@example.com: low}}\n", "", id="a key"),
    ],
)
def test_a_persons_address(body: str, codes: str) -> None:
    """It is a warning at the value; mailboxes of many people are none."""
    assert told(secrets.check, ROOT + body) == at_marks(codes, ROOT + body)


def test_a_persons_address_where_the_loader_has_refused_it() -> None:
    """A mention that is an address is OWN112, and only that."""
    assert told(secrets.check, ROOT + "  c: {" + TEAM + ", mention: jane@example.com}\n") == []


def test_long_values_are_cheap() -> None:
    """A megabyte of letters before and after an @, and of half addresses, is looked at in no time."""
    text = f"{ROOT}# {'://a:' * 100_000}\norg: '{'a.' * 500_000}@{'b.' * 400_000}'\n"
    started = time.process_time()
    assert told(secrets.check, text) == []
    assert time.process_time() - started < 3
