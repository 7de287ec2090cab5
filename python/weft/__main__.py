"""`python -m weft`: the same as the command `weft`."""

from weft.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
