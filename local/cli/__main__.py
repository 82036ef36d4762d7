"""Runs the command line."""

import sys

from local.cli.program import main

if __name__ == "__main__":
    sys.exit(main())
