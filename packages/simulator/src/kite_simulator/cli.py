"""``kite-simulator``: serves a simulated Kite, so that any Kite client can connect.

``ws_bridge simulate`` is the same command; the options of the market are those of its demos, too.
"""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, NoReturn, TypeVar

import typer

from kite_broker_zerodha.auth.grant import login_url
from kite_broker_zerodha.errors import ListenFailed
from kite_runtime.command_line import make_app, run, with_any_reader
from kite_runtime.console import say
from kite_runtime.errors import EXIT_DONE, EXIT_FAILED, OutputUnusable, PortTaken, UsageError
from kite_simulator.account import Account

if TYPE_CHECKING:
    from kite_simulator.faults import Fault
    from kite_simulator.kite import SimulatedKite

API_SECRET: Final = "dummy"

Script = TypeVar("Script")

Seed = Annotated[
    int, typer.Option("--seed", min=0, help="Seed of the market: the same seed, the same data.")
]
Faults = Annotated[
    str,
    typer.Option(
        "--faults",
        metavar="none|all|FILE",
        help="Fault script: none, every fault once, or a file of lines FRAME KIND [NUMBER].",
    ),
]
Rate = Annotated[
    float, typer.Option("--rate", min=0, help="Ticks a second; 0 is as fast as possible.")
]


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
    rest_port: Annotated[
        int | None,
        typer.Option(
            "--rest-port",
            min=0,
            max=65_535,
            help="Port of the REST API; 0 takes any free one.",
            show_default="the one after --port",
        ),
    ] = None,
    rest_faults: Annotated[
        str,
        typer.Option(
            "--rest-faults",
            metavar="none|FILE",
            help="Fault script of the REST API: a file of lines REQUEST KIND [NUMBER].",
        ),
    ] = "none",
    history: Annotated[
        str,
        typer.Option(
            "--history",
            metavar="none|FILE",
            help="Changes of the candles that REST serves: a file of lines lost TOKEN FROM UNTIL "
            "or restated TOKEN EX_DAY RATIO.",
        ),
    ] = "none",
    instruments: Annotated[
        Path | None,
        typer.Option(
            "--instruments",
            metavar="FILE",
            help="Serve this instrument master (CSV or CSV.gz with Kite's columns) over REST.",
            show_default="a seeded one",
        ),
    ] = None,
    redirect_url: Annotated[
        str | None,
        typer.Option(
            "--redirect-url",
            metavar="URL",
            help="Where the login page sends the browser, with a request_token.",
            show_default="it shows the request_token",
        ),
    ] = None,
) -> int:
    """Serve Kite's WebSocket and REST protocols on this machine until Ctrl-C.

    Any api_key and access token are accepted (dummy, for example), except those declared dead;
    after a login over REST (the API secret is dummy), only the token of that login is.
    Point a client at the printed addresses: KiteTicker("dummy", "dummy",
    root="ws://127.0.0.1:8765"), KiteConnect("dummy", "dummy", root="http://127.0.0.1:8766").
    At the end the counts of what was sent are printed as JSON.
    """
    from kite_simulator.history import parse_history_script
    from kite_simulator.kite import SimulatedKite
    from kite_simulator.rest import RestOptions
    from kite_simulator.rest_faults import parse_rest_script
    from kite_simulator.server import SimulatorOptions

    options = SimulatorOptions(
        port=port,
        rate_per_s=rate or None,
        ticks=ticks or None,
        frame_packets=frame_packets,
        seed=seed,
        script=fault_script(faults),
    )
    text = "none or a text file"
    following = port + 1 if 0 < port < 65_535 else 0
    rest = RestOptions(
        port=following if rest_port is None else rest_port,
        master_file=instruments,
        script=_script_of("--rest-faults", rest_faults, parse_rest_script, text),
        history=_script_of("--history", history, parse_history_script, text),
        redirect_url=redirect_url,
    )
    account = Account(None, API_SECRET, open_until_login=True, dead_tokens=dead_token or ())
    try:
        kite = SimulatedKite(options, rest, account)
    except OSError as error:
        raise UsageError(
            f"--instruments {instruments} cannot be read ({error.strerror}): give a CSV file"
        ) from error
    asyncio.run(serve(kite))
    return 0


async def serve(kite: SimulatedKite) -> None:
    """Until Ctrl-C or SIGTERM; prints the addresses, and at the end what was sent as JSON.

    Raises PortTaken, and what reading a recording raises.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        async with kite:
            say(f"Kite simulator at {kite.url}/?api_key=dummy&access_token=dummy")
            say(f"its REST API at {kite.root}, API secret {API_SECRET}")
            say(f"its login page at {login_url('dummy', base=kite.login_page)}")
            stopped = asyncio.create_task(stop.wait())
            everything = asyncio.create_task(kite.feed.until_finished())
            await asyncio.wait({stopped, everything}, return_when=asyncio.FIRST_COMPLETED)
            if not stop.is_set():
                everything.result()
                say("everything is sent; heartbeats go on until Ctrl-C")
                await stop.wait()
            everything.cancel()
            print(json.dumps(kite.feed.ledger.to_dict()))
    except ListenFailed as error:
        cause = error.__cause__
        assert isinstance(cause, OSError)  # so ListenFailed is made
        option = "--port" if error.port == kite.feed.options.port else "--rest-port"
        raise PortTaken(error.port, cause, f"{option} 8775") from error


def fault_script(faults: str) -> tuple[Fault, ...]:
    """The script that ``--faults`` names. Raises UsageError and ScriptError."""
    from kite_simulator.faults import parse_script

    if faults == "all":
        return parse_script(faults)
    return _script_of("--faults", faults, parse_script, "none, all or a text file")


def _script_of(option: str, name: str, parse: Callable[[str], Script], choices: str) -> Script:
    """The script in a file, an empty one for none. Raises UsageError and ScriptError."""
    if name == "none":
        return parse("")
    try:
        return parse(Path(name).read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{option} {name}: no such script can be read; give {choices}") from error


def vendor_files(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where the files go.")],
    first: Annotated[str, typer.Option("--from", metavar="DAY", help="Such as 2026-11-23.")],
    last: Annotated[str, typer.Option("--to", metavar="DAY", help="Included.")],
    symbols: Annotated[
        str, typer.Option("--symbols", metavar="A,B", help="Of the seeded master.")
    ] = "NSE:INFY,NSE:SBIN",
    layout: Annotated[
        str, typer.Option("--layout", metavar="NAME", help="bar-end-text, metastock or gdfl.")
    ] = "bar-end-text",
    seed: Seed = 1,
) -> int:
    """Write a vendor's files of the minutes that the simulator's REST API serves as Kite's.

    They differ on purpose, once a day and instrument: a high one tick off, a close twelve ticks
    off, a doubled volume, five missing minutes; and one line is no bar.
    Example: kite-simulator vendor-files feeds --from 2026-11-23 --to 2026-11-27
    """
    from datetime import date, timedelta

    from kite_simulator.history import History
    from kite_simulator.master import Master
    from kite_simulator.vendor_files import LAYOUTS, write

    try:
        begins, ends = date.fromisoformat(first), date.fromisoformat(last)
    except ValueError:
        raise UsageError(f"--from {first} --to {last}: write days like 2026-11-23") from None
    if ends < begins:
        raise UsageError(f"--to {ends} is before --from {begins}: exchange them")
    if layout not in LAYOUTS:
        raise UsageError(f"--layout {layout}: there are {', '.join(LAYOUTS)}")
    master = Master.seeded(seed, begins)
    names = [each.strip().upper() for each in symbols.split(",") if each.strip()]
    for name in names or [symbols]:
        if name not in master.tokens:
            raise UsageError(f"--symbols {symbols}: the seeded master has no {name or 'such name'}")
    tokens = {name.partition(":")[2]: master.tokens[name] for name in names}
    days = [begins + timedelta(days=number) for number in range((ends - begins).days + 1)]
    try:
        total = write(folder, History(seed), tokens, days, layout, say)
    except OSError as error:
        raise OutputUnusable(folder, error) from error
    if not total:
        say("nothing was traded on these days")
        return EXIT_FAILED
    say(
        f"{total:,} bars; on each day of each instrument one high is a tick off, one close "
        "twelve ticks off, one volume doubled, and five minutes are missing; one line is no bar"
    )
    return EXIT_DONE


def main() -> NoReturn:
    """Entry point; without a command it serves."""
    app = make_app(
        "kite-simulator",
        "A Zerodha Kite that trades a seeded market on this machine, with faults on purpose.",
        away="a service",
        place="simulator",
    )
    app.command("serve")(with_any_reader(command))
    app.command("vendor-files")(with_any_reader(vendor_files))
    run(app, default="serve")


if __name__ == "__main__":
    main()
