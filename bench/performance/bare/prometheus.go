//go:build with_prometheus

package main

import (
	"log"
	"net"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

func init() { //nolint:gochecknoinits // a build tag adds it
	modules = append(modules, func() {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			log.Fatal(err)
		}
		go func() {
			log.Print(http.Serve(listener, promhttp.HandlerFor(prometheus.DefaultGatherer, promhttp.HandlerOpts{})))
		}()
	})
}
