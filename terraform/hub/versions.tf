terraform {
  # Write-only arguments and ephemeral values keep the Hub's token and the cluster's out of the state.
  required_version = ">= 1.11"

  # Where the state is kept is said at `terraform init`: -backend-config=bucket=NAME
  backend "gcs" {
    prefix = "binderless-hub"
  }

  required_providers {
    google     = { source = "hashicorp/google", version = "~> 8.0" }
    helm       = { source = "hashicorp/helm", version = "~> 3.1" }
    kubernetes = { source = "hashicorp/kubernetes", version = "~> 3.0" }
  }
}
