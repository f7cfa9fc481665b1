"""``citadel page``: where a running micro's page is, and the token to act on it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from citadel_bridge.exit_codes import Exit
from citadel_bridge.json_output import JsonLines, print_json
from citadel_micro.shell.commands.status import RunDir, folders, overview_of
from citadel_proto.errors import BadInput, PeerUnavailable


def page(
    *,
    run_dir: RunDir = None,
    browser: Annotated[
        bool, typer.Option("--open", help="Open it in this machine's browser, too.")
    ] = False,
    json: JsonLines = False,
) -> Exit:
    """Print the address of the page of every running micro, with the token to act on it.

    Works for the user who runs micro, on the same machine. Whoever has the address can stop trading.
    """
    found: list[str] = []
    for folder in folders(run_dir):
        try:
            run = overview_of(folder)
        except PeerUnavailable as error:  # one that was killed leaves its socket behind
            if run_dir is not None:
                raise
            typer.echo(str(error), err=True)
            continue
        if not run.get("page"):
            raise BadInput(
                f"the micro of {folder} serves no page",
                where="http.enabled and http.page",
                mend="set both to true, the default, and start it again",
            )
        token = _token(Path(run["page_token"]))
        here = run["page"].replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")
        found.append(f"{here}/#token={token}")
        if json:
            row = {"instance": run["instance"], "run": run["run"], "url": found[-1]}
            print_json(row)
        else:
            typer.echo(found[-1])
    if not found:
        raise PeerUnavailable("no micro answers: is it running?")
    if browser:
        import webbrowser  # noqa: PLC0415

        webbrowser.open(found[0])
    return Exit.OK


def _token(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError as error:
        raise BadInput(
            f"the token cannot be read: {error.strerror}",
            where=str(path),
            mend="use the user who runs micro",
        ) from error
