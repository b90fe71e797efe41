"""The five entry points, for functions-framework: each is deployed from this one source by its name."""

from functions.entry_points import build, cull, on_build_complete, pages, webhook

__all__ = ["build", "cull", "on_build_complete", "pages", "webhook"]
