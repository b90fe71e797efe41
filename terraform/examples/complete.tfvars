# A domain of your own with a load balancer; builds in another project, on machines of their own; a Standard cluster.
project        = "my-project"
region         = "europe-west4"
domain         = "binder.example.org"
servers_domain = "servers.example.org"
dns_zone       = "example-org"

builds = {
  project      = "my-builds"
  private_pool = {}
}

cluster = {
  kind         = "standard"
  machine_type = "e2-highmem-8"
  max_nodes    = 20
}

instances = {
  build = { min = 1, max = 50 }
}

alert_emails    = ["operators@example.org"]
billing_account = "0123AB-4567CD-89EF01"
monthly_budget  = { currency = "EUR", units = 500 }
