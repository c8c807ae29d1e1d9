"""A small HTTP/1.1 server on asyncio's streams, for health pages, node agents and the metrics server. Read `server.py` first."""
