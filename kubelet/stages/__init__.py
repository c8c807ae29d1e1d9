"""How simulated pods, containers and images behave, as data: KWOK's `Stage` format (`kwok.x-k8s.io/v1alpha1`). Read `stage.py` first."""
