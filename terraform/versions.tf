terraform {
  # Write-only arguments and ephemeral resources: no secret in a plan or state.
  required_version = ">= 1.11"

  # Where the state is kept is said at `terraform init`: -backend-config=bucket=NAME
  backend "gcs" {
    prefix = "binderless"
  }

  required_providers {
    archive = {
      source  = "hashicorp/archive"
      version = "~> 2.7"
    }
    google = {
      source  = "hashicorp/google"
      version = "~> 8.7"
    }
    random = {
      source  = "hashicorp/random"
      version = "~> 3.7"
    }
  }
}

provider "google" {
  project        = var.project
  region         = var.region
  default_labels = local.labels
}

# The API of budgets belongs to no project, so it must be told which one's quota a person's credentials use.
provider "google" {
  alias                 = "billing"
  project               = var.project
  region                = var.region
  default_labels        = local.labels
  billing_project       = var.project
  user_project_override = true
}
