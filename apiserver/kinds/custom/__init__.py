"""Kinds that are made at run time: a CustomResourceDefinition becomes one `Kind` per served version, on the same generic path as all.

Read `definition.py` first, then `version.py`. `apiserver/loops/custom_resource.py` makes and removes them as definitions come and go.
"""
