"""From sequences to rows: embedders, windows, the cache and files."""
