"""opsvisor: a process supervisor for teams that live in Prometheus and Grafana."""

__version__ = "0.1.0"
