"""Grafana dashboards for opsvisor, and what they are generated and provisioned with."""
