"""What users type and import: the command line, the embedded stack, the client."""
