"""The scheduler's configuration file: a KubeSchedulerConfiguration of kubescheduler.config.k8s.io/v1, as upstream's `--config`.

Read `models.py` (the file) and `arguments.py` (what plugins can be told) first, then `validation.py` and `file.py`. What profiles come of
it is worked out in `controllers/scheduler/profiles.py`.
"""
