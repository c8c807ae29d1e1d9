"""How this server shows itself to extension API servers: a client certificate of a CA that vouches for nobody else, and the names of the
headers in which it says who asks. Extension servers read both from the ConfigMap `kube-system/extension-apiserver-authentication`.

Source: kube-apiserver's `--proxy-client-cert-file` and `--requestheader-*` flags, with kubeadm's values.
"""

from __future__ import annotations

import json
import ssl
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from apiserver.handlers.backends import Trust
from apiserver.identity import Authority
from kube.clock import Clock

CLIENT: Final = "front-proxy-client"
CA_KEY: Final = "requestheader-client-ca-file"
CONTEXTS_MAX: Final = 64
"""How many TLS contexts are kept: one for each CA bundle that APIServices name."""


def published(ca: str) -> Mapping[str, str]:
    """What the ConfigMap says about the front proxy. `ca` is the PEM of its CA."""
    lists = {
        "requestheader-allowed-names": [CLIENT],
        "requestheader-extra-headers-prefix": ["X-Remote-Extra-"],
        "requestheader-group-headers": ["X-Remote-Group"],
        "requestheader-uid-headers": ["X-Remote-Uid"],
        "requestheader-username-headers": ["X-Remote-User"],
    }
    return {CA_KEY: ca} | {key: json.dumps(value) for key, value in lists.items()}


class FrontProxy:
    """The certificate, and TLS that shows it."""

    def __init__(self, authority: Authority) -> None:
        authority.kept(CLIENT, CLIENT)
        self.ca = authority.certificate_pem.decode()
        self._pair = authority.directory / f"{CLIENT}.crt", authority.directory / f"{CLIENT}.key"
        self._contexts: OrderedDict[tuple[bytes, bool], ssl.SSLContext] = OrderedDict()

    @classmethod
    def load_or_create(cls, directory: Path, clock: Clock) -> FrontProxy:
        """The one kept in `directory`, made there if there is none. Raises IdentityError."""
        return cls(Authority.load_or_create(directory, clock, name="wherry-front-proxy-ca"))

    def context(self, trust: Trust) -> ssl.SSLContext:
        """TLS to an extension API server, whose certificate is verified against its bundle (without one: the system's CAs), unless it is
        to be trusted blindly. Raises ValueError for a bundle that holds no certificates."""
        key = trust.ca_bundle, trust.is_blind
        context = self._contexts.get(key)
        if context is None:
            context = self._contexts[key] = self._made(trust)
            if len(self._contexts) > CONTEXTS_MAX:
                self._contexts.popitem(last=False)
        return context

    def _made(self, trust: Trust) -> ssl.SSLContext:
        try:
            context = ssl.create_default_context(cadata=trust.ca_bundle.decode() if trust.ca_bundle else None)
        except (ssl.SSLError, ValueError) as error:
            raise ValueError("unable to load root certificates: unable to parse bytes as PEM block") from error
        if trust.is_blind:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        context.load_cert_chain(*self._pair)
        return context
