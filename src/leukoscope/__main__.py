"""Run ``python -m leukoscope`` as the command."""

from leukoscope.cli.app import main

if __name__ == "__main__":
    main()
