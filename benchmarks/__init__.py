"""What swcalls costs, as ratios: against bare aiohttp, and against what people would use instead.

``python -m benchmarks`` runs all of them; each also runs alone. README.md says how to read them.
"""
