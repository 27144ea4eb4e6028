"""Mailbox in, commit out."""
