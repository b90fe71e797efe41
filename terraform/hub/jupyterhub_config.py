"""What zero-to-jupyterhub runs after its own configuration, beside which it puts binderless_spawner.py."""

import os

from binderless_spawner import configure, let_functions_in

# The chart has made `c`; its `get_config` is another than JupyterHub's.
configure(c)  # type: ignore[name-defined]  # noqa: F821
let_functions_in(c, token=os.environ["HUB_SERVICE_TOKEN"])  # type: ignore[name-defined]  # noqa: F821
