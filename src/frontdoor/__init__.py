"""HTTP in, outcome out."""
