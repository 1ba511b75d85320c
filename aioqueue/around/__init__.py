"""What users put around their tasks: middlewares, dependencies, handlers of signals, the hooks of task classes."""
