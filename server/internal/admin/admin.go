// Package admin serves /livez, /readyz and /metrics over HTTP, and /reload over loopback. They show
// nothing secret.
package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"runtime"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Handler serves, to GET and HEAD:
//
//	/livez    200 while live returns nil: the listeners accept calls
//	/readyz   200 while ready returns nil: a token would be issued now; else 503 and the error
//	/metrics  the registered metrics, for Prometheus
//	/reload   what the last reload did, to whoever asks over loopback
func Handler(live, ready func() error, metrics prometheus.Gatherer, reload func() Reload) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /reload", overLoopback(reload))
	mux.Handle("GET /livez", status(live))
	mux.Handle("GET /readyz", status(ready))
	mux.Handle("GET /metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{
		MaxRequestsInFlight: 4, Timeout: 10 * time.Second, EnableOpenMetrics: true,
	}))
	return mux
}

// Reload is what a reload did.
type Reload struct {
	PID    int      `json:"pid"`    // of the process
	Number uint64   `json:"number"` // counts them; 0: there was none
	Ended  bool     `json:"ended"`
	Failed bool     `json:"failed"`
	Log    []string `json:"log"` // the lines of the program log since it began
}

// overLoopback keeps the lines of the log inside the pod.
func overLoopback(reload func() Reload) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from, err := netip.ParseAddrPort(r.RemoteAddr)
		if err != nil || !from.Addr().Unmap().IsLoopback() || !isLoopback(r.Host) { // nor a web page of any other name
			http.Error(w, "only over loopback", http.StatusForbidden)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		_ = json.NewEncoder(w).Encode(reload())
	})
}

func status(check func() error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		if err := check(); err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = fmt.Fprintln(w, err)
			return
		}
		_, _ = fmt.Fprintln(w, "ok")
	})
}

// Serve answers on the listener until ctx ends. It returns an error only when it fails before that.
func Serve(ctx context.Context, listener net.Listener, handler http.Handler, log *slog.Logger) error {
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 2 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      15 * time.Second,
		ErrorLog:          slog.NewLogLogger(log.With("event", "admin_http").Handler(), slog.LevelWarn),
		MaxHeaderBytes:    16 << 10,
	}
	server.SetKeepAlivesEnabled(false) // who has asked leaves its place; listen knows who has not
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	if err := server.Serve(listener); err != nil && ctx.Err() == nil {
		return fmt.Errorf("serve health and metrics on %v: %w", listener.Addr(), err)
	}
	return nil
}

// NewRegistry returns a registry with the metrics of the process, the Go runtime and the program's
// version, and the given collectors.
func NewRegistry(version string, own ...[]prometheus.Collector) *prometheus.Registry {
	registry := prometheus.NewRegistry()
	registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "chatidentity_build_info",
		Help: "1 for the version of the program and of Go. When it moves: it was updated; all replicas should show " +
			"the same soon.",
		ConstLabels: prometheus.Labels{"version": version, "go_version": runtime.Version()},
	}, func() float64 { return 1 }))
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	registry.MustRegister(slices.Concat(own...)...)
	return registry
}
