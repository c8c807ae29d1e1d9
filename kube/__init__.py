"""The ground floor: what every Wherry process stands on, and nothing that belongs to one of them alone.

Objects, labels, quantities, patches, errors and the type model; `client/` (HTTP client, watch, informer) and `runtime/`
(work queue, runner, leader election, metrics). Imports none of the other packages.
"""
