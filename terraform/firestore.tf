# Records of builds and launches. firestore.yaml says of each collection what is indexed; nothing else is.

locals {
  _collections = yamldecode(file("${path.root}/firestore.yaml")).collections
  fields = merge([
    for collection, fields in local._collections : {
      for field in concat(fields.indexed, fields.not_indexed) : "${collection}.${field}" => {
        collection = collection
        field      = field
        indexed    = contains(fields.indexed, field)
        expires    = field == fields.ttl
      }
    }
  ]...)
}

resource "google_firestore_database" "records" {
  name        = "binderless"
  location_id = var.region
  type        = "FIRESTORE_NATIVE"

  # Launches in progress and the memory of what was built: worth less than a clean end.
  delete_protection_state = "DELETE_PROTECTION_DISABLED"
  deletion_policy         = "DELETE"

  depends_on = [google_project_service.api]
}

resource "google_firestore_field" "field" {
  for_each = local.fields

  database   = google_firestore_database.records.name
  collection = each.value.collection
  field      = each.value.field

  # An empty block means no index at all.
  index_config {
    dynamic "indexes" {
      for_each = each.value.indexed ? [true] : []
      content {
        order       = "ASCENDING"
        query_scope = "COLLECTION"
      }
    }
  }

  dynamic "ttl_config" {
    for_each = each.value.expires ? [true] : []
    content {}
  }
}
