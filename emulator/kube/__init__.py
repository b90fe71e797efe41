"""A Kubernetes API server for one machine: objects, watches, controllers and a scheduler, in one process.

The way of a request: `server` (HTTP, who may) -> `routes` (which object is meant) -> `reads`, `writes`, `deletion`
(pure functions from a request to an answer, over the store) -> `store` (objects, versions, changes). What is particular
to a kind is data in `kinds/`. `controllers/` act on changes of the store as the controllers of Kubernetes do.
"""
