locals {
  image_repository = join("/", [
    "${var.region}-docker.pkg.dev", var.project,
    google_artifact_registry_repository.images.repository_id
  ])
  _cleanup = var.image_keep_days == 0 ? {} : {
    old = { action = "DELETE", older_than = "${var.image_keep_days * 86400}s", packages = tolist([]), keep_count = null }
    # Deletes nothing of a repository that nobody has changed for long: what its link names is still the newest.
    newest = { action = "KEEP", older_than = null, packages = tolist([]), keep_count = 1 }
    # The image that builds, which builds.image names by its digest, whatever a stranger's build pushes beside it.
    builder = { action = "KEEP", older_than = null, packages = tolist(["repo2docker"]), keep_count = null }
  }
}

resource "google_artifact_registry_repository" "images" {
  repository_id = "binderless-images"
  description   = "Images of what people launch."
  location      = var.region
  format        = "DOCKER"

  dynamic "cleanup_policies" {
    for_each = local._cleanup
    content {
      id     = cleanup_policies.key
      action = cleanup_policies.value.action

      dynamic "condition" {
        for_each = cleanup_policies.value.keep_count == null ? [true] : []
        content {
          older_than            = cleanup_policies.value.older_than
          package_name_prefixes = cleanup_policies.value.packages
          tag_state             = "ANY"
        }
      }

      dynamic "most_recent_versions" {
        for_each = cleanup_policies.value.keep_count == null ? [] : [true]
        content {
          keep_count = cleanup_policies.value.keep_count
        }
      }
    }
  }

  depends_on = [google_project_service.api]
}

resource "google_artifact_registry_repository" "functions" {
  repository_id = "binderless-functions"
  description   = "Images of the functions."
  location      = var.region
  format        = "DOCKER"

  cleanup_policies {
    id     = "old"
    action = "DELETE"
    condition {
      older_than = "${30 * 86400}s"
      tag_state  = "ANY"
    }
  }

  cleanup_policies {
    id     = "newest"
    action = "KEEP"
    most_recent_versions {
      keep_count = 5
    }
  }

  depends_on = [google_project_service.api]
}
