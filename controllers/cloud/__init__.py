"""The cloud controller manager, with a provider for clusters on one machine: see `local_cloud.py`, then `registry.py`."""
