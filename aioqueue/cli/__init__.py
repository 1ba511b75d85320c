"""The `aioqueue` command.

`root` holds the list of commands; each lies in the module of its name, and is imported when it is called. Nothing here
imports a broker, an app or a table before a command needs it: `aioqueue --help` answers at once.

Exit codes of all commands: 0 done; 1 an error, or the task failed; 2 the command line is wrong; 3 the task has not
ended (yet); 130 interrupted.
"""

from __future__ import annotations

try:
    from aioqueue.cli.root import main
except ModuleNotFoundError as error:
    if error.name not in ("click", "rich_click", "rich"):
        raise
    raise SystemExit(
        f"The command needs the package {error.name}, which is not installed here: pip install click rich-click."
    ) from None

__all__ = ["main"]
