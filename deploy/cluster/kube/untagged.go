//go:build !kube

package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "kube: built without -tags kube, so nothing of Kubernetes is in it")
	os.Exit(2)
}
