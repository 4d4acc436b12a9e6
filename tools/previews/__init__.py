"""Pictures of the dashboards without a Grafana server: `make previews`.

grafana/preview/ is a page that draws a dashboard's JSON with Grafana's component library, from a
live Prometheus. Here it is built, served, opened in a headless Chromium and photographed.
"""

from tools.previews.browser import Browser
from tools.previews.errors import PreviewError
from tools.previews.preview import Picture, Report, Shot, pictures

__all__ = ["Browser", "Picture", "PreviewError", "Report", "Shot", "pictures"]
