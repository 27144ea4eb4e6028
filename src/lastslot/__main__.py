"""`python -m lastslot`: the command line, for whoever has the package and not the script."""

from lastslot.cli import main

if __name__ == "__main__":
    main()
