"""aioqueue and its peers, measured side by side: `python -m benchmarks`; see `benchmarks/README.md`."""
