"""The servers that Lastslot is compared with. Each module is one process: `python -m loadtest.peers.<name> --port N`."""
