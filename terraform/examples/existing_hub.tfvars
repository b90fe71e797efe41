# JupyterHub is elsewhere: hub.url and hub.api_url are in the config file, of which existing_hub.yaml is an example, and its
# token is added to Secret Manager.
project          = "my-project"
region           = "europe-west4"
domain           = "binder.example.org"
cluster          = { kind = "none" }
supplied_secrets = { hub_token = "1" }
