# JupyterHub is elsewhere: hub.url and hub.api_url are in the config file, its token is added to Secret Manager.
project          = "my-project"
region           = "europe-west4"
domain           = "binder.example.org"
config_file      = "examples/existing_hub.yaml"
cluster          = { kind = "none" }
supplied_secrets = { hub_token = "1" }
