"""Dashboards as code: each module of `boards` is one dashboard, the rest is what they are made of.

`python -m grafana.generate` writes grafana/dashboards/*.json; with `--check` it only tells whether
they are up to date. Why not one of those there are: docs/decisions/0024.
"""
