"""The kinds of the core group, one module per kind or family of kinds."""
