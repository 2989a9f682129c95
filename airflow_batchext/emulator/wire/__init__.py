"""What both planes share of HTTP: calls, answers, routes, refusals, filters of lists."""
