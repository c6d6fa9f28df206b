"""The command line. Each verb lives in a module of its own, loaded when it is called."""

from __future__ import annotations


def main() -> None:
    """Run the command line with this process's arguments, and exit."""
    from trebuchet.cli.app import run_command_line  # noqa: PLC0415 - `import trebuchet.cli` alone loads no click

    run_command_line()
