"""Cloud Build: builds over REST, their steps as pods of the cluster, their logs as objects of a bucket.

https://cloud.google.com/build/docs/api/reference/rest/v1/projects.builds
"""
