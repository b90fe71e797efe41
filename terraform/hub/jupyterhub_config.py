"""What zero-to-jupyterhub runs after its own configuration, beside which it puts binderless_spawner.py."""

import os

from binderless_spawner import configure, let_functions_in

c = get_config()  # type: ignore[name-defined]  # noqa: F821  (JupyterHub puts it here)
configure(c)
let_functions_in(c, token=os.environ["HUB_SERVICE_TOKEN"])
