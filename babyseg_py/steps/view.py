"""The command ``view``: look at the sessions of a results folder, and judge them."""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("results", metavar="RESULTS", type=Path, help="folder that the pipeline wrote")
    parser.add_argument("participant", metavar="sub-X", nargs="?", help="child to begin with")
    parser.add_argument("session", metavar="ses-Y", nargs="?", help="its session to begin with")
    parser.add_argument("--port", type=port, default=0, metavar="N", help="port (default: a free one)")
    parser.add_argument("--no-browser", action="store_true", help="only print the address")


def run(args: argparse.Namespace) -> None:
    """Serve the viewer on this machine until it is interrupted.

    Raises
    ------
    UnusableData
        The folder holds no results, there is no such child or session, or nothing came out of it.
    UsageError
        The port is taken.
    """
    import webbrowser

    from babyseg_py.errors import UnusableData, UsageError
    from babyseg_py.viewer.dataset import choose, layers, list_sessions
    from babyseg_py.viewer.server import ADDRESS, make_server

    chosen = choose(list_sessions(args.results), args.participant, args.session, folder=args.results)
    if args.participant and args.session and not layers(args.results, chosen):
        reasons = "; ".join(chosen.reasons) or "the ledger does not say why"
        advice = f"begin with another session, or see {args.results / 'ledger.tsv'}"
        raise UnusableData(chosen.name, f"nothing came out of it ({reasons})", advice)
    try:
        server, viewer = make_server(args.results, port=args.port)
    except OSError as problem:
        words = f"port {args.port} cannot be used ({problem.strerror}); leave --port out for a free one"
        raise UsageError(words) from None
    start = f"#{chosen.participant}/{chosen.session}"
    url = f"http://{ADDRESS}:{server.server_address[1]}/{viewer.token}/{start}"
    print(f"{url}\nend it with Ctrl-C", flush=True)
    if not args.no_browser:
        webbrowser.open(url)
    with server:
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print()


def port(text: str) -> int:
    """Parse the number of a port; 0 is any free one."""
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text} is not a port, 0 to 65535")
    return int(text)
