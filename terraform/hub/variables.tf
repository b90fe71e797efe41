variable "acme_email" {
  description = "Whom Let's Encrypt writes to about the certificate of the servers' domain."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[^@\\s]+@[^@\\s]+\\.[^@\\s]+$", var.acme_email))
    error_message = "acme_email must be an e-mail address."
  }
}

variable "chart_version" {
  description = "Version of the zero-to-jupyterhub chart."
  type        = string
  default     = "4.3.2"
  nullable    = false

  validation {
    condition     = can(regex("^[4-9]\\.[0-9]+\\.[0-9]+$", var.chart_version))
    error_message = "chart_version must be a release of the chart, 4.0.0 or newer."
  }
}

variable "cluster" {
  description = "The cluster that runs the Hub. Filled by the first step."
  type        = object({ name = string, location = string, autopilot = bool })
  nullable    = false
}

variable "config_file" {
  description = "The configuration that the functions are deployed with; read here for how long servers may run."
  type        = string
  default     = "../../config.yaml"
  nullable    = false
}

variable "egress_ports" {
  description = "TCP ports that servers may reach on the internet; none: servers have no internet."
  type        = set(number)
  default     = [80, 443]
  nullable    = false

  validation {
    condition     = alltrue([for port in var.egress_ports : port >= 1 && port <= 65535 && floor(port) == port])
    error_message = "egress_ports must be whole numbers from 1 to 65535."
  }
}

variable "functions_cidr" {
  description = "Range of the subnetwork that the functions come from. Filled by the first step."
  type        = string
  nullable    = false

  validation {
    condition     = can(cidrhost(var.functions_cidr, 0))
    error_message = "functions_cidr must be a range such as 10.8.0.0/24."
  }
}

variable "hub_address" {
  description = "Internal address on which the functions reach the Hub. Filled by the first step."
  type        = string
  nullable    = false

  validation {
    condition     = can(cidrhost("${var.hub_address}/32", 0))
    error_message = "hub_address must be an IPv4 address."
  }
}

variable "hub_token" {
  description = "The functions' token for the Hub, out of the first step's secret; set it as TF_VAR_hub_token. Kept in no state and no plan."
  type        = string
  ephemeral   = true
  sensitive   = true
  nullable    = false

  validation {
    condition     = length(var.hub_token) >= 32
    error_message = "hub_token must have at least 32 characters."
  }
}

variable "hub_token_version" {
  description = "Which version of the secret hub_token is; a new one is only written when this changes. Filled by the first step."
  type        = number
  nullable    = false

  validation {
    condition     = var.hub_token_version >= 1 && floor(var.hub_token_version) == var.hub_token_version
    error_message = "hub_token_version must be the number of a version."
  }
}

variable "internal_cidrs" {
  description = "Ranges of the network outside RFC 1918, which servers may not reach either. Filled by the first step."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for cidr in var.internal_cidrs : can(cidrhost(cidr, 0))])
    error_message = "internal_cidrs must be ranges such as 10.8.0.0/24."
  }
}

variable "max_servers" {
  description = "How many servers may run or start at once; more are refused by the Hub, and wait."
  type        = number
  default     = 200
  nullable    = false

  validation {
    condition     = var.max_servers >= 1 && floor(var.max_servers) == var.max_servers
    error_message = "max_servers must be a whole number, 1 or more."
  }
}

variable "namespace" {
  description = "Kubernetes namespace of the Hub and its servers. Filled by the first step."
  type        = string
  default     = "jhub"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$", var.namespace))
    error_message = "namespace must be a DNS label."
  }
}

variable "placeholders" {
  description = "How many servers' worth of room is kept free, so that a launch waits for no new node; it is paid for."
  type        = number
  default     = 0
  nullable    = false

  validation {
    condition     = var.placeholders >= 0 && floor(var.placeholders) == var.placeholders
    error_message = "placeholders must be a whole number, 0 or more."
  }
}

variable "prepulled_images" {
  description = "Images to have on every node before they are launched, by a name each; image streaming makes most of this unnecessary."
  type        = map(object({ name = string, tag = string }))
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue([for name in keys(var.prepulled_images) : can(regex("^[a-z0-9][-a-z0-9]*$", name))])
    error_message = "The names of prepulled_images must be lower-case letters, digits and hyphens."
  }
}

variable "project" {
  description = "Google Cloud project. Filled by the first step."
  type        = string
  nullable    = false
}

variable "sandbox" {
  description = "Whether servers run in gVisor: stronger walls between strangers, slower files. A Standard cluster needs a node pool with it."
  type        = bool
  default     = false
  nullable    = false
}

variable "server" {
  description = "What each server gets: CPUs, memory with a unit (K, M, G, T), and how long it may take to start."
  type = object({
    cpu_guarantee    = optional(number, 0.25)
    cpu_limit        = optional(number, 2)
    memory_guarantee = optional(string, "512M")
    memory_limit     = optional(string, "2G")
    start_timeout_s  = optional(number, 300)
  })
  default  = {}
  nullable = false

  validation {
    condition = alltrue([
      for memory in [var.server.memory_guarantee, var.server.memory_limit] : can(regex("^[1-9][0-9]*[KMGT]$", memory))
    ])
    error_message = "Memory must be a number and K, M, G or T, such as 512M."
  }

  validation {
    condition     = var.server.cpu_guarantee > 0 && var.server.cpu_guarantee <= var.server.cpu_limit
    error_message = "cpu_guarantee must be more than nothing and no more than cpu_limit."
  }

  validation {
    condition     = var.server.start_timeout_s >= 30 && var.server.start_timeout_s <= 3600
    error_message = "start_timeout_s must be from 30 to 3600."
  }
}

variable "servers_address" {
  description = "External address of the proxy in front of the servers. Filled by the first step."
  type        = string
  nullable    = false

  validation {
    condition     = can(cidrhost("${var.servers_address}/32", 0))
    error_message = "servers_address must be an IPv4 address."
  }
}

variable "servers_domain" {
  description = "Host name of the servers, another than that of the pages. Filled by the first step."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^([a-z0-9]([-a-z0-9]*[a-z0-9])?\\.)+[a-z]{2,}$", var.servers_domain))
    error_message = "servers_domain must be a host name in lower case, such as servers.example.org."
  }
}
