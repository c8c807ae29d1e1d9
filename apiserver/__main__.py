"""`python -m apiserver`: the API server alone. See `settings.py` for its flags and `serving.py` for what it does."""

from __future__ import annotations

import asyncio
import sys

from apiserver.identity import IdentityError
from apiserver.pipeline.authentication import TokenFileError
from apiserver.registry.enablement import RuntimeConfigError
from apiserver.serving import run
from apiserver.settings import SettingsError, read
from apiserver.store.base import StoreUnusable
from kube.runtime.logs import set_up_logging

USAGE, UNUSABLE = 2, 1


def main() -> int:
    """Run it; problems that the user can solve are one line on stderr."""
    try:
        settings = read()
    except SettingsError as error:
        print(f"apiserver: {error}", file=sys.stderr)
        return USAGE
    set_up_logging(verbosity=settings.v)
    try:
        import uvloop

        runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
    except ImportError:
        runner = asyncio.Runner()
    try:
        with runner:
            runner.run(run(settings))
    except RuntimeConfigError as error:
        print(f"apiserver: --runtime-config {','.join(settings.runtime_config)}: {error}", file=sys.stderr)
        return USAGE
    except (IdentityError, TokenFileError, StoreUnusable, OSError) as error:
        print(f"apiserver: {error}", file=sys.stderr)
        return UNUSABLE
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
