"""The Common Expression Language as Kubernetes speaks it: parsed, type-checked, costed, and compiled into Python closures.

Read `environment.py` first: it compiles an expression over declared variables into a `Program`. Then, in the order things happen:
`lexer.py`, `parser.py` (and `macros.py`) make the tree of `syntax.py`; `checker.py` finds every expression's type (`types.py`) and the
overloads of its calls (`declarations.py`); `cost.py` estimates what evaluating it may cost; `program.py` compiles it. Values are plain
Python values and those of `values.py`; functions are in `standard.py` and `library/`. Nothing here knows an API object.

Source: the CEL specification, cel-go (`parser`, `checker`, `ext`), apiserver `pkg/cel/library`.

# deviates: of what an evaluation costs only the turns of loops are counted, each by the least it can cost; upstream counts every step
"""
