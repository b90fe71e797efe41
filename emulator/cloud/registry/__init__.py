"""An image registry after the OCI distribution specification 1.1, on a folder.

https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md
"""
