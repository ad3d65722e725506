"""``python -m difftest`` is the command line."""

import sys

from difftest._cli import main

sys.exit(main())
