"""What form an Accept header gets."""

from __future__ import annotations

import pytest

from apiserver.handlers.negotiation import OBJECTS, Form, check_acceptable, error_media, negotiate, negotiate_stream
from kube.errors import NotAcceptable

JSON, YAML = "application/json", "application/yaml"
TABLE = f"{JSON};as=Table;v=v1;g=meta.k8s.io"
PARTIAL = f"{JSON};as=PartialObjectMetadata;g=meta.k8s.io;v=v1beta1"

FORMS = {
    "no header": ("", Form()),
    "anything": ("*/*", Form()),
    "anything of one type": ("application/*", Form()),
    "JSON with a character set": (f"{JSON};charset=utf-8", Form()),
    "JSON by no quality at all": (f"{JSON};q=0", Form()),
    "a quality that is no number is none": (f"{JSON};q=much,{YAML};q=0.1", Form(YAML)),
    "YAML": (YAML, Form(YAML)),
    "the better one first": (f"{JSON};q=0.1,{YAML}", Form(YAML)),
    "the first of equals": (f"{YAML},{JSON}", Form(YAML)),
    "the exact before the wildcard": (f"*/*,{YAML}", Form(YAML)),
    "what is not served is passed over": (f"application/vnd.kubernetes.protobuf,{YAML}", Form(YAML)),
    "a Table": (TABLE, Form(JSON, "Table")),
    "metadata in the older version": (PARTIAL, Form(JSON, "PartialObjectMetadata", "v1beta1")),
    "a form that there is not, or else JSON": (f"{JSON};as=Table;v=v2;g=meta.k8s.io,{JSON}", Form()),
    "a stream of watch events": (f"{JSON};stream=watch", Form()),
}


@pytest.mark.parametrize(("accept", "form"), FORMS.values(), ids=FORMS.keys())
def test_the_form_of_an_answer(accept: str, form: Form) -> None:
    assert negotiate(accept) == form


REFUSED = {
    "a form without its group": f"{JSON};as=Table;v=v1",
    "a form that there is not": f"{JSON};as=Tree;v=v1;g=meta.k8s.io",
    "a version of nothing": f"{JSON};v=v9",
    "another type": "text/html",
    "upper case": "APPLICATION/JSON",
    "no media type": "json",
    "a stream in YAML": f"{YAML};stream=watch",
}


@pytest.mark.parametrize("accept", REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_had(accept: str) -> None:
    with pytest.raises(NotAcceptable, match="only the following media types are accepted: application/json, application/yaml"):
        negotiate(accept)


def test_who_takes_protobuf_alone_is_not_told_that_it_is_served() -> None:
    with pytest.raises(NotAcceptable) as caught:
        negotiate("application/vnd.kubernetes.protobuf")
    assert caught.value.message.endswith("accepted: application/json, application/yaml")


def test_where_there_are_no_tables_the_next_clause_counts() -> None:
    assert negotiate(f"{TABLE},{YAML}", tables=False) == Form(YAML)
    assert negotiate(f"{TABLE},{YAML}") == Form(JSON, "Table")


def test_a_watch_comes_as_json_only() -> None:
    assert negotiate_stream(TABLE) == Form(JSON, "Table")
    with pytest.raises(NotAcceptable) as caught:
        negotiate_stream(YAML)
    assert caught.value.message.endswith("accepted: application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch")


ERRORS = {
    "the same media type": (YAML, YAML),
    "never a Table": (TABLE, JSON),
    "JSON where nothing fits": ("text/html", JSON),
    "JSON where nothing is asked": ("", JSON),
}


@pytest.mark.parametrize(("accept", "media"), ERRORS.values(), ids=ERRORS.keys())
def test_the_media_type_of_a_failure(accept: str, media: str) -> None:
    assert error_media(accept) == media


def test_the_router_looks_at_media_types_alone() -> None:
    for fine in ("", "*/*", f"text/html , {JSON};as=Nonsense", f"{YAML};q=0"):
        check_acceptable(fine)
    for wrong in ("application/*", "text/html", "APPLICATION/JSON"):
        with pytest.raises(NotAcceptable) as caught:
            check_acceptable(wrong)
        assert caught.value.message == f"406: Not Acceptable\n\nAvailable representations: {', '.join(OBJECTS)}"
        assert caught.value.details == {}
