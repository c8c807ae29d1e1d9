"""Admission webhooks at work: Mutating- and ValidatingWebhookConfigurations, whose servers are asked about every write.

    hooks.py       the webhooks there are, in their order, as long as nothing changes
    review.py      what they are sent and what they may answer (pure)
    asking.py      one of them is asked: whether it is to be, what comes of it, what failurePolicy says to that
    patches.py     what their patches make of an object (pure)
    mutating.py    one after the other; reinvocation
    validating.py  all at once
    measured.py    how often, how long, with what outcome
    plugins.py     the two plugins

What a webhook is for is decided by what decides about policies: `policies/matching.py` and `policies/facts.py`. Calls themselves are
`registries.webhooks`. Audit annotations are read and, as there is no audit log, go nowhere.
Source: apiserver `pkg/admission/plugin/webhook`.
"""
