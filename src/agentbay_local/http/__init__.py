"""The HTTP server of the service: routes, middleware, authorization."""
