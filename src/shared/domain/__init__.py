"""Pure nouns and rules: no I/O, no clock, no random numbers. Time and ids come in as arguments."""
