"""PodSecurity: how strict a namespace is with its pods (Pod Security Standards), and what is done about pods that are not strict enough.

Read in this order: `labels.py` (what a namespace asks for), `subject.py` (what the checks look at and say), `baseline.py` and
`restricted.py` (the checks), `table.py` (which of them count in which version), `existing.py` (the pods that a stricter namespace has
already), `plugin.py` (when all this is asked). Everything but the plugin is pure.
"""
