"""`python -m trebuchet`: the command line."""

from trebuchet.cli import main

if __name__ == "__main__":
    main()
