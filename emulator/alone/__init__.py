"""The emulated Kubernetes without the rest of the stack, for people and for tests of other projects."""
