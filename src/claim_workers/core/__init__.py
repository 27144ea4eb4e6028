"""The pure part of a worker shard: what to own, how to cut a batch."""
