"""Every run tries the same examples: what fails here fails for everyone. Long runs (`WHERRY_FUZZ_EXAMPLES`) try others each time."""

from __future__ import annotations

import os

from hypothesis import settings

settings.register_profile("wherry", derandomize="WHERRY_FUZZ_EXAMPLES" not in os.environ)
settings.load_profile("wherry")
