variable "alert_emails" {
  description = "Who is told when an alert fires."
  type        = set(string)
  default     = []
  nullable    = false

  validation {
    condition = alltrue([
      for email in var.alert_emails :
      can(regex("^[^@\\s]+@[^@\\s]+\\.[^@\\s]+$", email))
    ])
    error_message = "Each must be an e-mail address."
  }
}

variable "billing_account" {
  description = "Billing account that the budget watches; null: no budget."
  type        = string
  default     = null

  validation {
    condition = (
      var.billing_account == null
      || can(regex("^[0-9A-F]{6}-[0-9A-F]{6}-[0-9A-F]{6}$", var.billing_account))
    )
    error_message = "Must be like 0123AB-4567CD-89EF01."
  }
}

variable "builds" {
  description = "Where images are built: a project of their own (null: `project`), machines of their own (`private_pool`; null: Cloud Build's), and for how long logs are kept."
  type = object({
    log_keep_days = optional(number, 30)
    private_pool = optional(object({
      disk_size_gb = optional(number, 100)
      machine_type = optional(string, "e2-standard-4")
    }))
    project = optional(string)
  })
  default  = {}
  nullable = false

  validation {
    condition = (
      var.builds.log_keep_days >= 1
      && floor(var.builds.log_keep_days) == var.builds.log_keep_days
    )
    error_message = "log_keep_days must be a whole number of days, at least 1."
  }

  validation {
    condition = (
      var.builds.project == null
      || can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.builds.project))
    )
    error_message = "project must be the id of a project, not its name or number."
  }

  validation {
    condition = try(
      var.builds.private_pool.disk_size_gb >= 100
      && var.builds.private_pool.disk_size_gb <= 4000,
      var.builds.private_pool == null
    )
    error_message = "private_pool.disk_size_gb must be between 100 and 4000."
  }
}

variable "cluster" {
  description = "Cluster of JupyterHub. `kind`: autopilot or standard is made here (`machine_type`, `max_nodes` and `spot` are of a standard one); existing is named by `name` and `location`, and needs `network`; none when JupyterHub is elsewhere, at the hub.url and hub.api_url of config.yaml."
  type = object({
    deletion_protection = optional(bool, true)
    kind                = optional(string, "autopilot")
    location            = optional(string)
    machine_type        = optional(string, "e2-standard-8")
    max_nodes           = optional(number, 10)
    name                = optional(string, "binderless")
    release_channel     = optional(string, "REGULAR")
    spot                = optional(bool, false)
  })
  default  = {}
  nullable = false

  validation {
    condition = contains(
      ["autopilot", "standard", "existing", "none"], var.cluster.kind
    )
    error_message = "kind must be autopilot, standard, existing or none."
  }

  validation {
    condition     = var.cluster.kind != "existing" || var.network != null
    error_message = "An existing cluster needs network, which it is in."
  }

  validation {
    condition = contains(
      ["RAPID", "REGULAR", "STABLE", "EXTENDED"], var.cluster.release_channel
    )
    error_message = "release_channel must be RAPID, REGULAR, STABLE or EXTENDED."
  }

  validation {
    condition     = var.cluster.max_nodes >= 1 && var.cluster.max_nodes <= 1000
    error_message = "max_nodes must be between 1 and 1000."
  }

  validation {
    condition     = can(regex("^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$", var.cluster.name))
    error_message = "name must be lower-case letters, digits and hyphens."
  }
}

variable "config_file" {
  description = "Settings of the functions, as seen from this folder; inside the repository, since it goes into the source archive."
  type        = string
  default     = "../config.yaml"
  nullable    = false

  validation {
    condition     = can(keys(yamldecode(file(var.config_file))))
    error_message = "There must be a YAML file of settings; examples/config.yaml is one to begin with."
  }

  validation {
    condition = startswith(
      abspath(var.config_file), "${abspath("${path.root}/..")}/"
    )
    error_message = "Must be inside the repository."
  }
}

variable "dns_zone" {
  description = "Name of a Cloud DNS zone of `project` that gets the records of `domain` and `servers_domain`; null: they are made by hand, from the outputs."
  type        = string
  default     = null

  validation {
    condition = (
      var.dns_zone == null
      || can(regex("^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$", var.dns_zone))
    )
    error_message = "Must be the name of a managed zone, not a domain."
  }
}

variable "domain" {
  description = "Host name of the pages and the API, behind a load balancer; null: no load balancer, one function serves both at its own address."
  type        = string
  default     = null

  validation {
    condition = (
      var.domain == null
      || can(regex("^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\\.)+[a-z]{2,}$", var.domain))
    )
    error_message = "Must be a host name such as binder.example.org."
  }
}

variable "image_keep_days" {
  description = "Days after its upload when an image is deleted, but for the newest of each repository; a launch builds it again. 0: never."
  type        = number
  default     = 90
  nullable    = false

  validation {
    condition     = var.image_keep_days >= 0 && floor(var.image_keep_days) == var.image_keep_days
    error_message = "Must be a whole number of days."
  }
}

variable "instances" {
  description = "Other limits than the usual ones of how many instances an entry point has, such as { build = { min = 1 } }."
  type = map(object({
    max = optional(number)
    min = optional(number)
  }))
  default  = {}
  nullable = false

  validation {
    condition = length(setsubtract(
      keys(var.instances),
      ["pages", "build", "on_build_complete", "cull", "webhook"]
    )) == 0
    error_message = "Entry points are pages, build, on_build_complete, cull and webhook."
  }

  validation {
    condition = alltrue([
      for limit in var.instances : (
        coalesce(limit.min, 0) >= 0
        && coalesce(limit.max, 1000) >= max(1, coalesce(limit.min, 0))
        && coalesce(limit.max, 1000) <= 1000
      )
    ])
    error_message = "Each needs 0 <= min <= max <= 1000, and max at least 1."
  }
}

variable "labels" {
  description = "Further labels of everything that has labels."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition = alltrue([
      for name, value in var.labels : (
        can(regex("^[a-z][a-z0-9_-]{0,62}$", name))
        && can(regex("^[a-z0-9_-]{0,63}$", value))
      )
    ])
    error_message = "Names and values are lower-case letters, digits, _ and -; names begin with a letter."
  }
}

variable "monthly_budget" {
  description = "What a month may cost; alerts at 50, 90 and 100 percent. Needs billing_account."
  type = object({
    currency = string
    units    = number
  })
  default = null

  validation {
    condition = var.monthly_budget == null || try(
      can(regex("^[A-Z]{3}$", var.monthly_budget.currency))
      && var.monthly_budget.units > 0
      && floor(var.monthly_budget.units) == var.monthly_budget.units,
      false
    )
    error_message = "units must be a whole number above 0, currency three letters such as EUR."
  }

  validation {
    condition     = var.monthly_budget == null || var.billing_account != null
    error_message = "A budget needs billing_account."
  }
}

variable "network" {
  description = "Names of an existing network of `project` and of its subnetworks in `region` for the cluster and for the functions (26 bits or fewer, used by nothing else); null: all are made here."
  type = object({
    cluster_subnetwork   = string
    functions_subnetwork = string
    name                 = string
  })
  default = null
}

variable "project" {
  description = "Id of the Google Cloud project."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project))
    error_message = "Must be the id of a project, not its name or number."
  }
}

variable "region" {
  description = "Region of everything, such as europe-west4."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]+$", var.region))
    error_message = "Must be a region such as europe-west4, not a zone."
  }
}

variable "requests_per_minute" {
  description = "How many requests a minute the load balancer lets through from one address; a shared address, such as a school's, counts as one."
  type        = number
  default     = 1200
  nullable    = false

  validation {
    condition     = var.requests_per_minute >= 1 && var.requests_per_minute <= 10000
    error_message = "Must be between 1 and 10000."
  }
}

variable "secret_generations" {
  description = "Raise the number of a secret to have it generated anew, such as { hub_token = 2 }."
  type        = map(number)
  default     = {}
  nullable    = false

  validation {
    condition = length(setsubtract(keys(var.secret_generations), [
      "hub_token", "launches_secret", "web_metrics_token", "web_operator_tokens",
      "webhooks_github_secrets", "webhooks_gitlab_tokens"
    ])) == 0
    error_message = "Generated are hub_token, launches_secret, web_metrics_token, web_operator_tokens, webhooks_github_secrets and webhooks_gitlab_tokens."
  }
}

variable "servers_domain" {
  description = "Host name of JupyterHub and its users' servers, another one than `domain`; null only with cluster.kind none."
  type        = string
  default     = null

  validation {
    condition = (
      var.servers_domain == null
      || can(regex("^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\\.)+[a-z]{2,}$", var.servers_domain))
    )
    error_message = "Must be a host name such as servers.example.org."
  }

  validation {
    condition     = (var.servers_domain == null) == (var.cluster.kind == "none")
    error_message = "Needed with a cluster; with cluster.kind none, hub.url of config.yaml says it."
  }

  validation {
    condition     = var.servers_domain == null || var.servers_domain != var.domain
    error_message = "Must differ from domain: what a server runs must not see the cookies of the pages."
  }
}

variable "supplied_secrets" {
  description = "Versions of secrets that you have added to Secret Manager yourself, such as { github_token = \"1\" }; of a generated secret, it replaces the generated one."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition = length(setsubtract(keys(var.supplied_secrets), [
      "github_token", "gitlab_token", "hub_token", "launches_secret",
      "launches_token_secrets", "web_metrics_token", "web_operator_tokens",
      "webhooks_github_secrets", "webhooks_gitlab_tokens"
    ])) == 0
    error_message = "There is no such secret; secrets.tf lists them."
  }

  validation {
    condition = alltrue([
      for version in var.supplied_secrets : can(regex("^[1-9][0-9]*$", version))
    ])
    error_message = "Each must be the number of a version, not latest: a deployment must not change by itself."
  }
}
