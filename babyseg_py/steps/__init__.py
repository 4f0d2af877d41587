"""One module per pipeline step: files in, files out.

Each has ``add_arguments(parser)`` and ``run(args) -> int | None``; heavy imports stay inside ``run``,
so that ``babyseg --help`` answers at once.
"""
