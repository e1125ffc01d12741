// Package cluster runs the manifests on a real Kubernetes of one node: deploy/cluster/run.sh.
package cluster
