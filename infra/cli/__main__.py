"""``python -m infra.cli``: the command line, as the stack starts its processes."""

from infra.cli import main

main()
