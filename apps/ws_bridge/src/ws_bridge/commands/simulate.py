"""``simulate``: serves the Kite simulator, so that any Kite client can connect."""

from __future__ import annotations

import asyncio
import json
import signal
from typing import Annotated

import typer

from app_kit.console import say
from app_kit.errors import PortTaken
from broker_zerodha.simulator import SimulatorOptions, SimulatorServer
from ws_bridge.commands.options import Faults, Rate, Seed, fault_script


def command(
    port: Annotated[
        int, typer.Option("--port", min=0, max=65_535, help="Port; 0 takes any free one.")
    ] = 8765,
    rate: Rate = 100.0,
    ticks: Annotated[
        int, typer.Option("--ticks", min=0, help="Moves of the market in all; 0 never ends.")
    ] = 0,
    frame_packets: Annotated[
        int, typer.Option("--frame-packets", min=1, max=3_000, help="Packets in a frame, at most.")
    ] = 100,
    seed: Seed = 1,
    faults: Faults = "none",
    dead_token: Annotated[
        list[str] | None,
        typer.Option(
            "--dead-token",
            metavar="TOKEN",
            help="Answer this access token with HTTP 403; may be repeated.",
        ),
    ] = None,
) -> int:
    """Serve Kite's WebSocket protocol on this machine until Ctrl-C.

    Any api_key and access token are accepted (dummy, for example), but for those declared dead.
    Point a client at the printed address: KiteTicker("dummy", "dummy", root="ws://127.0.0.1:8765").
    At the end the counts of what was sent are printed as JSON.
    """
    options = SimulatorOptions(
        port=port,
        rate_per_s=rate or None,
        ticks=ticks or None,
        frame_packets=frame_packets,
        seed=seed,
        script=fault_script(faults),
        dead_tokens=frozenset(dead_token or ()),
    )
    asyncio.run(_serve(options))
    return 0


async def _serve(options: SimulatorOptions) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        async with SimulatorServer(options) as simulator:
            say(f"Kite simulator at {simulator.url}/?api_key=dummy&access_token=dummy")
            await stop.wait()
            print(json.dumps(simulator.ledger.to_dict()))
    except OSError as error:
        raise PortTaken(options.port, error, "--port 8766") from error
