"""`python -m local.host --app DIR --state DIR [--port N] [--engine HOST:PORT] [--function-key KEY] [--deliver-twice]
[--with-parent]`.
"""

import argparse
import asyncio
import os
import signal
import sys
from pathlib import Path

from local.engine import StateFileInUse, program
from local.host.host import Host, Options
from local.host.settings import HostError, HostSettings, load_app_settings, load_host_settings, quiet_libraries


def main() -> int:
    """Serve an app until SIGTERM."""
    arguments = _arguments()
    if arguments.with_parent:
        program.die_with_parent()
    folder = arguments.app.resolve()
    arguments.state.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        load_app_settings(arguments.settings or folder / "local.settings.json")
        # As in Azure: a durable value may not name a class to be rebuilt (see df_loads in azure-functions).
        os.environ.setdefault("AZURE_FUNCTIONS_DURABLE_STRICT_TYPING", "1")
        settings = load_host_settings(folder / "host.json")
        program.log_to_stderr(settings.log_level)
        quiet_libraries()
        code = asyncio.run(_serve(arguments, folder, settings))
    except (HostError, StateFileInUse, OSError) as error:
        sys.stderr.write(f"{error}\n")
        sys.stderr.flush()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    # Threads of activities still under way would keep the interpreter; their work is redelivered at the next start.
    os._exit(code)


async def _serve(arguments: argparse.Namespace, folder: Path, settings: HostSettings) -> int:
    host = Host(
        Options(
            folder,
            arguments.state.resolve(),
            arguments.port,
            arguments.engine,
            arguments.function_key,
            arguments.deliver_twice,
        ),
        settings,
    )
    sys.stdout = sys.stderr  # what functions print must not fill a pipe that nobody reads after the ready line
    os.chdir(folder)  # as in Azure, where the app's folder is the working directory
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    try:
        await host.start()
        program.ready(
            port=host.port,
            url=f"http://127.0.0.1:{host.port}",
            engine=host.engine_address,
            function_key_file=str(host.keys.function_key_file),
            admin_key_file=str(host.keys.admin_key_file),
            pid=os.getpid(),
        )
        await stopping.wait()
    finally:
        await host.stop()
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m local.host", description="An Azure Functions host stand-in.")
    parser.add_argument("--app", type=Path, required=True, help="folder with function_app.py and host.json")
    parser.add_argument("--state", type=Path, required=True, help="folder for the engine's state, keys and timers")
    parser.add_argument("--port", type=int, default=0, help="loopback port; 0 takes a free one")
    parser.add_argument("--engine", help="address of a running engine; absent: one in this process")
    parser.add_argument("--settings", type=Path, help="local.settings.json; absent: the app folder's, if any")
    parser.add_argument("--function-key", help="absent: the one in <state>/function.key, made at first start")
    parser.add_argument("--deliver-twice", action="store_true", help="run every activity twice at the same time")
    parser.add_argument("--with-parent", action="store_true", help="end when the parent process ends")
    return parser.parse_args()


if __name__ == "__main__":
    main()
