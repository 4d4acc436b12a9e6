"""Can't work, and says why: what most programs do whose configuration is wrong."""

import sys

print("reading settings")
sys.exit("fatal: DATABASE_URL is not set")
