"""Run the service on a PostgreSQL of its own: `python -m examples.user_service --help`."""

import argparse
import signal
import socket
from contextlib import suppress
from functools import partial

import anyio
from starlette.applications import Starlette

from demo.schema import create_users
from examples.user_service.app import create_app
from servers.postgres import temporary_postgres

USERS = 10_000


def main() -> None:
    """Serve until Ctrl-C."""
    options = _parse_arguments()
    with (
        socket.create_server(("127.0.0.1", options.port)) as listener,
        temporary_postgres() as server,
    ):
        create_users(server.dsn, rows=USERS)
        address = "http://{}:{}".format(*listener.getsockname())
        print(f"{USERS} users, under {options.backend}; Ctrl-C ends it. Try:")
        print(f"    curl {address}/users/42", flush=True)
        serve = {"asyncio": _serve_asyncio, "trio": _serve_trio}[options.backend]
        with suppress(KeyboardInterrupt):
            serve(create_app(server.dsn), listener)


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m examples.user_service", description=__doc__)
    parser.add_argument("--backend", choices=("asyncio", "trio"), default="asyncio")
    parser.add_argument("--port", type=int, default=8000, help="0 picks a free one")
    return parser.parse_args()


def _serve_asyncio(app: Starlette, listener: socket.socket) -> None:
    import uvicorn  # noqa: PLC0415 - only the server that was asked for

    uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listener])


def _serve_trio(app: Starlette, listener: socket.socket) -> None:
    import hypercorn.trio  # noqa: PLC0415
    import trio  # noqa: PLC0415

    config = hypercorn.Config()
    # Hypercorn closes the descriptor that it is given: let that be a copy.
    config.bind = [f"fd://{listener.dup().detach()}"]
    config.loglevel = "WARNING"
    serve = partial(hypercorn.trio.serve, app, config, shutdown_trigger=_wait_for_signal)  # type: ignore[arg-type]
    trio.run(serve)


async def _wait_for_signal() -> None:
    """Return at Ctrl-C: its `KeyboardInterrupt` could hit any task of the server."""
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for _ in signals:
            return


if __name__ == "__main__":
    main()
