"""The product: five cloud functions that turn a launch link into a running Jupyter server."""
