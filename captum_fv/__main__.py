"""`python -m captum_fv` is the command `captum-fv`."""

import sys

from captum_fv.cli import main

sys.exit(main())
