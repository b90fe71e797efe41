"""What a server is told of where it comes from, in BinderHub's words (binderhub/launcher.py). Pure."""

from __future__ import annotations

from functions.core.launch import Launch


def provenance(launch: Launch) -> dict[str, str]:
    """Where a server comes from, in BinderHub's words: for the person who launches it, and for tools inside it."""
    return {
        "repo_url": launch.repo.repo_url,
        "binder_ref_url": launch.repo.ref_url,
        "binder_launch_host": launch.host,
        "binder_request": f"v2/{launch.provider}/{launch.repo.spec}",
        "binder_persistent_request": f"v2/{launch.provider}/{launch.repo.resolved_spec}",
        "binder_client_ip": launch.client_ip,
    }


def server_options(launch: Launch) -> dict[str, str]:
    """JupyterHub user_options, as BinderHub gives them (binderhub/launcher.py), with the image by digest."""
    repository, _, _ = launch.image.rpartition(":")
    return {"image": f"{repository}@{launch.digest}", "token": launch.token, **provenance(launch)}
