"""What the charts show, as plain data: one builder per chart, for the dashboard and the report."""
