"""Cluster DNS: answers for Services, their endpoints and pods, from what the API says. `python -m kubelet.dns` runs it.

Read `records.py` first (a question, what the cluster has, an answer; pure), then `world.py` (what the cluster has), `message.py` (the wire
format, by dnspython), `responder.py` (a message in, a message out), `server.py` (UDP and TCP), `forwarding.py` (everybody else's names),
`registration.py` (the Service `kube-dns`), `asking.py` (the other end: how simulated containers ask).

Source: kubernetes/dns `docs/specification.md`; where that leaves it open, what CoreDNS's `kubernetes` plugin answers with the Corefile that
installers give it (`pods insecure`, `ttl 30`, `fallthrough in-addr.arpa ip6.arpa`, `forward . /etc/resolv.conf`).
"""
