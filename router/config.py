"""Settings of `router serve`: each is an option with its environment variable; a secret is only ever the variable."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from router.core.errors import CannotStart
from router.core.peers import is_loopback


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        return is_loopback(self.host)

    @property
    def url_host(self) -> str:
        """As it stands in a URL; a wildcard is reached over loopback."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(self.host, self.host)  # noqa: S104
        return f"[{host}]" if ":" in host else host


def listen_address(text: str) -> Address:
    """`HOST:PORT`, an IPv6 host in brackets. Raises CannotStart."""
    host, separator, port = text.rpartition(":")
    if not separator or not port.isascii() or not port.isdigit() or len(port) > 5 or int(port) > 65535:
        raise CannotStart(f"ROUTER_LISTEN {text!r} is not HOST:PORT. Write 127.0.0.1:9095")
    return Address(host=host.removeprefix("[").removesuffix("]"), port=int(port))


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that `router serve` is told. Secrets have no repr: they must not end in a log or a traceback."""

    ownership: Path
    database: str = field(repr=False)  # a URL may hold a password
    listen: Address
    slack_token: str | None = field(repr=False)  # None: preview mode
    slack_api_url: str | None
    slack_signing_secret: str | None = field(repr=False)  # None: no buttons
    intake_tokens: str | None = field(repr=False)
    admin_token: str | None = field(repr=False)
    log_format: str
    log_level: str


def settings(
    *, ownership: str, database: str, listen: str, environment: Mapping[str, str], on_terminal: bool
) -> Settings:
    """Raises CannotStart, naming the variable and what to do; never quoting a secret."""
    log_format = environment.get("ROUTER_LOG_FORMAT") or ("console" if on_terminal else "json")
    if log_format not in ("json", "console"):
        raise CannotStart(f"ROUTER_LOG_FORMAT {log_format!r} is not json or console")
    log_level = (environment.get("ROUTER_LOG_LEVEL") or "info").lower()
    if log_level not in ("debug", "info", "warning", "error"):
        raise CannotStart(f"ROUTER_LOG_LEVEL {log_level!r} is not debug, info, warning or error")
    api_url = environment.get("ROUTER_SLACK_API_URL") or None
    if api_url is not None and not (api_url.startswith(("http://", "https://")) and api_url.endswith("/api/")):
        raise CannotStart(f"ROUTER_SLACK_API_URL {api_url!r} must begin with http:// or https:// and end in /api/")
    found = Settings(
        ownership=Path(ownership),
        database=database,
        listen=listen_address(listen),
        slack_token=secret("ROUTER_SLACK_TOKEN", environment),
        slack_api_url=api_url,
        slack_signing_secret=secret("ROUTER_SLACK_SIGNING_SECRET", environment),
        intake_tokens=secret("ROUTER_INTAKE_TOKENS", environment),
        admin_token=secret("ROUTER_ADMIN_TOKEN", environment),
        log_format=log_format,
        log_level=log_level,
    )
    if api_url is not None and found.slack_token is None:
        raise CannotStart(
            "ROUTER_SLACK_API_URL is set, but no token: set ROUTER_SLACK_TOKEN or ROUTER_SLACK_TOKEN_FILE too"
        )
    if found.intake_tokens is None and not found.listen.is_loopback:
        raise CannotStart(
            f"ROUTER_LISTEN {listen} can be reached from other machines and no intake token is set: anybody could "
            "send alerts. Set ROUTER_INTAKE_TOKENS or ROUTER_INTAKE_TOKENS_FILE (alertmanager:TOKEN), "
            "or listen on 127.0.0.1"
        )
    return found


def secret(name: str, environment: Mapping[str, str]) -> str | None:
    """The variable, or the content of the file that `…_FILE` names. None where neither is set. Raises CannotStart."""
    value, file = environment.get(name), environment.get(f"{name}_FILE")
    if value and file:
        raise CannotStart(f"{name} and {name}_FILE are both set. Keep one")
    if file:
        try:
            value = Path(file).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as exc:
            raise CannotStart(f"{name}_FILE {file}: {getattr(exc, 'strerror', None) or 'is not UTF-8 text'}") from exc
        if not value.strip():
            raise CannotStart(f"{name}_FILE {file} is empty")
    if value is None or not value.strip():
        return None
    value = value.strip()
    if name.endswith(("_TOKEN", "_SECRET")) and not value.isascii():
        raise CannotStart(f"{name} has a character that no token has (it is not ASCII). Copy it again")
    if name.endswith(("_TOKEN", "_SECRET")) and any(character.isspace() for character in value):
        raise CannotStart(f"{name} has white space inside. Copy it again")
    return value
