"""What the router's intake is measured against: starlette that reads the body and answers 200.

`python -m tests.bench.floor PORT`, on the router's own server settings.
"""

import sys

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from router.intake.protocol import uvicorn_settings


async def accept(request: Request) -> Response:
    await request.body()
    return Response(b"ok")


def main() -> None:
    app = Starlette(routes=[Route("/webhooks/alertmanager", accept, methods=["POST"])])
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="error", **uvicorn_settings())


if __name__ == "__main__":
    main()
