"""``python -m babyseg_py`` is the ``babyseg`` command."""

from babyseg_py.cli import main

raise SystemExit(main())
