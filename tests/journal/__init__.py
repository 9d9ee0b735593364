"""The journal: records that survive, pictures within their quota."""
