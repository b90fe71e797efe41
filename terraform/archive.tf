# The source of all functions: one archive of exactly what source.yaml lists, and the settings.

locals {
  # The list of what the archive holds, and which Python it is for.
  source      = yamldecode(file("${path.root}/source.yaml"))
  root        = abspath("${path.root}/..")
  config_path = trimprefix(abspath(var.config_file), "${local.root}/")

  # archive_file knows only what to leave out. So that nothing new in the repository slips in, that is computed.
  _top = toset(concat(
    tolist(fileset(local.root, "*")),
    [for file in fileset(local.root, "*/*") : dirname(file)],
    [for file in fileset(local.root, "*/*/*") : dirname(dirname(file))],
  ))
  _config_top = split("/", local.config_path)[0]
  _beside_config = local._config_top == local.config_path ? [] : [
    for file in fileset(local.root, "${local._config_top}/**") : file
    if file != local.config_path
  ]
  archive_excludes = sort(concat(
    tolist(setsubtract(
      local._top,
      concat(local.source.files, [local._config_top])
    )),
    local._beside_config,
    ["**/__pycache__/**"],
  ))

  # What examples/ name in place of an image that nobody has made yet.
  _digest_of_examples = "@sha256:${join("", [for _ in range(64) : "0"])}"

  # Settings that are not config.yaml's: secrets, and what Terraform knows better.
  _claimed = concat(
    keys(local.settings), [for secret in local.secrets : secret.setting],
    ["registry.password", "registry.username", "events.token", "cloud_build.token"]
  )
  misplaced_settings = flatten([
    for section, settings in local.config : [
      for name in try(keys(settings), []) : "${section}.${name}"
      if contains(local._claimed, "${section}.${name}")
    ]
  ])
}

data "archive_file" "source" {
  type       = "zip"
  source_dir = local.root
  # Deeper than _top looks: an apply wants to find the files that its plan has found.
  output_path      = "${path.root}/.terraform/archive/binderless-source.zip"
  output_file_mode = "0644"
  excludes         = local.archive_excludes
}

resource "google_storage_bucket" "source" {
  name     = "${var.project}-binderless-source"
  location = var.region

  force_destroy               = true
  public_access_prevention    = "enforced"
  uniform_bucket_level_access = true

  lifecycle_rule {
    condition {
      num_newer_versions = 5
    }
    action {
      type = "Delete"
    }
  }

  versioning {
    enabled = true
  }

  depends_on = [google_project_service.api]
}

resource "google_storage_bucket_object" "source" {
  name   = "functions-${data.archive_file.source.output_sha256}.zip"
  bucket = google_storage_bucket.source.name
  source = data.archive_file.source.output_path

  lifecycle {
    precondition {
      condition     = length(local.misplaced_settings) == 0
      error_message = "Not for the config file, where secrets would be readable and Terraform's own settings would be overridden: ${join(", ", local.misplaced_settings)}."
    }

    precondition {
      condition     = try(local.config.cull.pods_namespace, "") == ""
      error_message = "cull.pods_namespace of the config file is for a cull that has a kubeconfig; functions on Google Cloud have none, and no way to the cluster."
    }

    precondition {
      condition = (
        can(regex("@sha256:[0-9a-f]{64}$", local.config.builds.image))
        && !try(endswith(local.config.builds.image, local._digest_of_examples), true)
      )
      error_message = "builds.image of the config file must name the image that builds, with its digest, which is not the one of the examples: it runs where the builder's account is used."
    }

    precondition {
      condition = local.has_cluster || (
        can(regex("^https://", local.config.hub.url))
        && can(regex("^https://", local.config.hub.api_url))
      )
      error_message = "With cluster.kind none, hub.url and hub.api_url of the config file must say where JupyterHub is, with https://."
    }
  }
}
