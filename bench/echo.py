"""The echo ceiling: a bare ASGI function under the same uvicorn, over TLS, that only parses and encodes again the body it gets."""

from __future__ import annotations

import sys
from typing import Any

import orjson
import uvicorn

POD = {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "echo"}}
_GET = orjson.dumps(POD)


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        return
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    out = orjson.dumps(orjson.loads(body)) if body else _GET
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(out))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": out})


if __name__ == "__main__":
    port, certificate, key = sys.argv[1:4]
    uvicorn.run(
        app, port=int(port), ssl_certfile=certificate, ssl_keyfile=key, loop="uvloop", http="httptools", lifespan="off", access_log=False,
        log_level="warning", ws="none",
    )  # fmt: skip
