"""Carrying requests: `HttpTransport` over the network, `AsgiTransport` into an ASGI app of the same process.

Both stream truly: a chunk is there as soon as the server has sent it. `base.py` says what they promise.
"""

from kube.client.asgi import AsgiTransport
from kube.client.base import Answer, ConnectionFailed, StreamAnswer, Transport
from kube.client.http import HttpTransport

__all__ = ["Answer", "AsgiTransport", "ConnectionFailed", "HttpTransport", "StreamAnswer", "Transport"]
