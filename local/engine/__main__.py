"""`python -m local.engine --state FILE [--port N] [--with-parent]`."""

import argparse
import os
import sys
from pathlib import Path

from local.engine import Engine, StateFileInUse, program


def main() -> int:
    """Run the engine until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m local.engine", description="A durable engine for one machine.")
    parser.add_argument("--state", type=Path, required=True, help="the SQLite file that holds everything")
    parser.add_argument("--port", type=int, default=0, help="loopback port; 0 takes a free one")
    parser.add_argument("--with-parent", action="store_true", help="end when the parent process ends")
    arguments = parser.parse_args()
    if arguments.with_parent:
        program.die_with_parent()
    program.log_to_stderr()
    try:
        engine = Engine(arguments.state, arguments.port).start()
    except StateFileInUse as error:
        sys.stderr.write(f"{error}\n")
        return 1
    program.ready(port=engine.port, address=engine.address, state=str(arguments.state), pid=os.getpid())
    program.wait_for_signal()
    engine.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
