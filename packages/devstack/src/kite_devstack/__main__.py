"""``python -m devstack``."""

from kite_devstack.cli import main

main()
