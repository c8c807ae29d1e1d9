"""Types of Kubernetes objects, compiled from the OpenAPI definitions that `kubernetes-validate` ships. Read `types.py` first."""
