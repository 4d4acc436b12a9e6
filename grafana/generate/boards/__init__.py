"""The dashboards, each a module with one `BOARD`."""

from grafana.generate.board import Board
from grafana.generate.boards import host, logs, overview, process, supervisor

BOARDS: tuple[Board, ...] = (
    overview.BOARD,
    host.BOARD,
    process.BOARD,
    supervisor.BOARD,
    logs.BOARD,
)
