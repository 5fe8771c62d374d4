"""What the charts show, as plain data: one builder per chart, for the dashboard and the report.

``figure`` defines what a chart consists of; ``static/charts.js`` draws it.
"""
