"""Makes every file of alert rules from one table (`rules`) and one file of numbers.

`python -m alerts.generate` writes them, `--check` tells which are out of date. The table says what
an alert means, in PromQL with `@names`; `alerts/thresholds.toml` says what the names stand for.
Nothing here needs more than Python's own library.
"""
