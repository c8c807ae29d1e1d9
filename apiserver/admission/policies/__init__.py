"""Admission policies at work: Validating- and MutatingAdmissionPolicies, asked about every write.

    facts.py        a write as policies see it: what is written, in which versions, the AdmissionRequest
    matching.py     whether a policy or a binding is for it (pure)
    expressions.py  evaluating: variables, what may be spent, what goes wrong in upstream's words (pure)
    policy.py       a policy, compiled
    hooks.py        the policies there are, with their bindings, as long as nothing changes
    params.py       the objects that a binding's paramRef stands for
    validating.py   verdicts of validations (pure), and the plugin
    patches.py      what mutations do to an object (pure)
    mutating.py     their order, their reinvocation, and the plugin

Audit annotations are evaluated, for what goes wrong with them counts; there is no audit log to write them to.
Source: apiserver `pkg/admission/plugin/policy`.
"""
