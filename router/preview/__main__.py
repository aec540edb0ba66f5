"""The emulator as a process of its own: `python -m router.preview --listen 127.0.0.1:0`."""

import asyncio
import signal
import time

import click
import uvloop

from router.preview.app import preview_app
from router.preview.emulator import Emulator
from router.preview.rates import Rates
from router.preview.transport import Server
from router.preview.workspace import Keep

_RATES = {"strict": Rates.strict(), "lenient": Rates.lenient(), "unlimited": Rates.unlimited()}


@click.command()
@click.option(
    "--listen", default="127.0.0.1:9096", show_default=True, metavar="HOST:PORT", help="Port 0 picks a free one."
)
@click.option(
    "--rates", type=click.Choice(list(_RATES)), default="strict", show_default=True, help="Slack's rate limits."
)
def main(listen: str, rates: str) -> None:
    """Serve the strict Slack emulator; prints `listening http://…/` once it does. Remembers everything, on no disk."""
    host, _, port = listen.rpartition(":")
    emulator = Emulator(clock=time.time, rates=_RATES[rates], keep=Keep.everything())
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(emulator, host or "127.0.0.1", int(port)))


async def _serve(emulator: Emulator, host: str, port: int) -> None:
    server = Server(preview_app(emulator, control=True))
    bound = await server.listen(host, port)
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    click.echo(f"listening http://{host}:{bound}/")
    await stop.wait()
    await server.stop()


if __name__ == "__main__":
    main()
