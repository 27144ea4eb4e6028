"""The gate: one script call for a whole micro-batch of claims, one for whatever was committed.

Fast, and allowed to be wrong: it is a function of Postgres and the mailbox, and is set again from them at any time.
"""
