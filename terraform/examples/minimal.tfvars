# The cheapest that works: no load balancer, one function at its own address; an Autopilot cluster.
project        = "my-project"
region         = "europe-west4"
servers_domain = "servers.example.org"
