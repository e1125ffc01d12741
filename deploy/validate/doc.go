// Package validate checks the Kubernetes manifests of deploy/kubernetes as far
// as that goes without a cluster: every overlay is rendered by kustomize,
// validated against the API server's schemas, held against the restricted Pod
// Security Standard, and run by the real program with its flags and variables.
//
// It is a module of its own, so that none of Kubernetes' libraries are in the
// program's.
package validate
