"""The metrics server: metrics.k8s.io/v1beta1, from what the nodes' agents measure. Read `server.py` first."""
