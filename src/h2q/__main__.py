"""`python -m h2q` is `h2q`."""

from h2q.cli import main

if __name__ == "__main__":
    main()
