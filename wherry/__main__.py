"""`python -m wherry` is the `wherry` command."""

import sys

from wherry.main import main

sys.exit(main())
